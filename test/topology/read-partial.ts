import { ByteReader } from '../../src/state/bytes.ts';
import { CELLS, type CellName, type PartialHeader, readCells, readGroupName, readHeader } from '../../src/topology/partials.ts';

export interface ReadCell {
  name: CellName;
  entity: string;
  version: number;
  variant: string;
  time: number;
  values: number[];
}

/** A record of `.partials` in words. */
export function readPartial(value: Uint8Array): { header: PartialHeader; cells: ReadCell[] } {
  const from = new ByteReader(value);
  const header = readHeader(from);
  const groups: { entity: string; version: number; variant: string }[] = [];
  const cells: ReadCell[] = [];
  readCells(from, {
    group: (bytes, start, end) => groups.push(readGroupName(new ByteReader(bytes, start, end))) - 1,
    cell: (name, group, time, values) => cells.push({ name, ...groups[group], time, values: [...values.subarray(0, CELLS[name].columns)] }),
  });
  if (!from.done) throw new Error(`${from.remaining} bytes are left`);
  return { header, cells };
}

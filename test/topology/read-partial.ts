import { ByteReader } from '../../src/state/bytes.ts';
import {
  CELLS,
  type CellName,
  type GroupName,
  type PartialHeader,
  readCells,
  readGroupName,
  readHeader,
} from '../../src/topology/partials.ts';

export interface ReadCell {
  name: CellName;
  entity: string;
  version: number;
  variant: string;
  /** 0 for a cell of a segment. */
  time: number;
  segment?: GroupName;
  values: number[];
}

/** A record of `.partials` in words. */
export function readPartial(value: Uint8Array): { header: PartialHeader; cells: ReadCell[] } {
  const from = new ByteReader(value);
  const header = readHeader(from);
  const groups: GroupName[] = [];
  const cells: ReadCell[] = [];
  readCells(from, {
    group: (bytes, start, end) => groups.push(readGroupName(new ByteReader(bytes, start, end))) - 1,
    cell: (name, group, time, values) => {
      const place = name === 'segmentUnits' ? { time: 0, segment: groups[time] } : { time };
      cells.push({ name, ...groups[group], ...place, values: [...values.subarray(0, CELLS[name].columns)] });
    },
  });
  if (!from.done) throw new Error(`${from.remaining} bytes are left`);
  return { header, cells };
}

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
    groups: ({ bytes, size, starts, ends, indices }) => {
      for (let i = 0; i < size; i++) indices[i] = groups.push(readGroupName(new ByteReader(bytes, starts[i], ends[i]))) - 1;
    },
    cells: (block) => {
      const { name, size } = block;
      const { columns } = CELLS[name];
      for (let i = 0; i < size; i++) {
        const time = block.times[i];
        const place = name === 'segmentUnits' ? { time: 0, segment: groups[time] } : { time };
        const values = [...block.values.subarray(i * columns, (i + 1) * columns)];
        cells.push({ name, ...groups[block.groups[i]], ...place, values });
      }
    },
  });
  if (!from.done) throw new Error(`${from.remaining} bytes are left`);
  return { header, cells };
}

/**
 * Adds up what the sources have contributed. A source's values only grow with its position, within one origin: so the
 * larger value is the later one, a repeat changes nothing, and of two origins the larger shows (design §3 must 9).
 */
import type { CellTable } from '../state/cells.ts';
import { TO_COMMIT } from '../state/cells.ts';

/** A source's cell: where it stands in both tables. */
export interface CellPlace {
  group: number;
  source: number;
  time: number;
}

/**
 * Takes a source's absolute values; `growth` receives by how much each column of the total grew. True when anything did.
 * @param totals null where nobody needs the sum of the sources ready-made
 */
export function mergeCell(
  sources: CellTable,
  totals: CellTable | null,
  place: CellPlace,
  { values, growth }: { values: Float64Array; growth: Float64Array },
): boolean {
  const index = sources.at(place.group, place.source, place.time);
  const { columns } = sources;
  let grew = false;
  for (let c = 0; c < columns; c++) {
    const more = values[c] - sources.get(index, c);
    growth[c] = more > 0 ? more : 0;
    if (more > 0) grew = true;
  }
  if (!grew) return false;
  const total = totals === null ? -1 : totals.at(place.group, 0, place.time);
  for (let c = 0; c < columns; c++) {
    if (growth[c] === 0) continue;
    sources.add(index, c, growth[c]);
    totals?.add(total, c, growth[c]);
  }
  sources.touchFor(index, TO_COMMIT);
  return true;
}

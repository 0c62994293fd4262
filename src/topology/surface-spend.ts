/**
 * Spend by surface and hour: a handful of names in practice, but nothing promises that. An hour takes so many of them; what comes
 * after, or has a long name, is counted under ''. Which ones those are follows from the cells, so a restart decides alike.
 */
import type { ByteRef } from '../topology/types.ts';
import type { IngestState } from './ingest-state.ts';
import { CELLS } from './partials.ts';

const MAX_SURFACES = 64;
const MAX_BYTES = 64;
const NOTHING: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };

interface Known {
  bytes: Uint8Array;
  group: number;
  /** The cell it was last found in. A guess. */
  cell: number;
}

export class SurfaceSpend {
  readonly #state: IngestState;
  /** Every surface that has a cell, and how many an hour has: as the cells were at this generation, and with what came since. */
  readonly #known: Known[] = [];
  readonly #counts = new Map<number, number>();
  #generation = -1;

  constructor(state: IngestState) {
    this.#state = state;
  }

  add(surface: ByteRef, eventTs: number, spendMicros: number): void {
    const cells = this.#state.cells.surfaceSpend;
    const index = this.#cellOf(surface, Math.floor(eventTs / CELLS.surfaceSpend.slotMs));
    cells.addTwo(index, spendMicros, 1);
  }

  #cellOf(surface: ByteRef, hour: number): number {
    const { groups, cells } = this.#state;
    if (cells.surfaceSpend.generation !== this.#generation) this.#look();
    const place = this.#placeOf(surface);
    const known = place === -1 ? -1 : this.#known[place].group;
    if (place !== -1) {
      const one = this.#known[place];
      if (!cells.surfaceSpend.isAt(one.cell, known, hour)) one.cell = cells.surfaceSpend.find(known, 0, hour);
      if (one.cell !== -1) return one.cell;
    }
    const count = this.#counts.get(hour) ?? 0;
    const isOne = surface.end - surface.start <= MAX_BYTES && count < MAX_SURFACES;
    const name = isOne ? surface : NOTHING;
    const group = isOne && known !== -1 ? known : groups.intern(name);
    const { size } = cells.surfaceSpend;
    const index = cells.surfaceSpend.at(group, 0, hour);
    if (index === size) this.#counts.set(hour, count + 1);
    if (this.#placeOf(name) === -1) this.#known.push({ bytes: name.bytes.slice(name.start, name.end), group, cell: index });
    return index;
  }

  /** A handful, so they are looked through. */
  #placeOf({ bytes, start, end }: ByteRef): number {
    for (let place = 0; place < this.#known.length; place++) {
      const own = this.#known[place].bytes;
      if (own.length !== end - start) continue;
      let i = 0;
      while (i < own.length && own[i] === bytes[start + i]) i++;
      if (i === own.length) return place;
    }
    return -1;
  }

  #look(): void {
    const { groups, cells } = this.#state;
    this.#generation = cells.surfaceSpend.generation;
    this.#counts.clear();
    const seen = new Set<number>();
    for (let i = 0; i < cells.surfaceSpend.size; i++) {
      const hour = cells.surfaceSpend.timeOf(i);
      this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + 1);
      seen.add(cells.surfaceSpend.groupOf(i));
    }
    this.#known.length = 0;
    for (const group of seen) this.#known.push({ bytes: groups.entityOf(group).slice(), group, cell: -1 });
  }
}

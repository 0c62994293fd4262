/**
 * Spend by surface and hour: a handful of names in practice, but nothing promises that. An hour takes so many of them; what comes
 * after, or has a long name, is counted under ''. Which ones those are follows from the cells, so a restart decides alike.
 */
import type { IngestState } from './ingest-state.ts';
import { CELLS } from './partials.ts';
import type { ByteRef } from './types.ts';

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
  /** Where '' is among them; -1 before it has a cell. */
  #nothing = -1;
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
    if (this.#state.cells.surfaceSpend.generation !== this.#generation) this.#look();
    const place = this.#placeOf(surface);
    const known = this.#find(place, hour);
    if (known !== -1) return known;
    const isOne = surface.end - surface.start <= MAX_BYTES && (this.#counts.get(hour) ?? 0) < MAX_SURFACES;
    if (isOne) return this.#enter(surface, place, hour);
    const counted = this.#find(this.#nothing, hour);
    return counted === -1 ? this.#enter(NOTHING, this.#nothing, hour) : counted;
  }

  /** The cell of a known surface, -1 when it has none in that hour. */
  #find(place: number, hour: number): number {
    if (place === -1) return -1;
    const { surfaceSpend } = this.#state.cells;
    const known = this.#known[place];
    if (!surfaceSpend.isAt(known.cell, known.group, hour)) known.cell = surfaceSpend.find(known.group, 0, hour);
    return known.cell;
  }

  /** A cell for a surface that has none in that hour; `place` is -1 when it is not known either. */
  #enter(surface: ByteRef, place: number, hour: number): number {
    const { groups, cells } = this.#state;
    const group = place === -1 ? groups.intern(surface) : this.#known[place].group;
    const cell = cells.surfaceSpend.at(group, 0, hour);
    this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + 1);
    if (place === -1) this.#know(surface.bytes.slice(surface.start, surface.end), group, cell);
    else this.#known[place].cell = cell;
    return cell;
  }

  #know(bytes: Uint8Array, group: number, cell: number): void {
    if (bytes.length === 0) this.#nothing = this.#known.length;
    this.#known.push({ bytes, group, cell });
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
    this.#nothing = -1;
    for (const group of seen) this.#know(groups.entityOf(group).slice(), group, -1);
  }
}

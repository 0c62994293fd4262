/**
 * Spend by surface and hour: a handful of names in practice, but nothing promises that. An hour takes so many of them; what comes
 * after, or has a long name, is counted under ''. Which ones those are follows from the cells, so a restart decides alike.
 */
import { FLAG } from '../operators/event-columns.ts';
import { exactSum } from '../state/cells.ts';
import { FewNames } from '../state/few-names.ts';
import type { IngestBlock } from './ingest-block.ts';
import type { IngestState } from './ingest-state.ts';
import { CELLS } from './partials.ts';
import type { ByteRef } from './types.ts';

const { slotMs } = CELLS.surfaceSpend;
const MAX_SURFACES = 64;
const MAX_BYTES = 64;
const NOTHING: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };

/** A surface that has a cell. */
interface Known {
  group: number;
  /** When the hour begins that is added up, and its cell. */
  fromMs: number;
  cell: number;
  /** What is not yet in there. */
  micros: number;
  impressions: number;
}

export class SurfaceSpend {
  readonly #state: IngestState;
  /** Every surface that has a cell, and how many an hour has: as the cells were at this generation, and with what came since. */
  readonly #known: Known[] = [];
  #names = new FewNames();
  readonly #counts = new Map<number, number>();
  #generation = -1;

  constructor(state: IngestState) {
    this.#state = state;
  }

  /** Adds up the first `count` of these records, those of them that name a surface. Throws StreamError total_overflow, as `settle` does. */
  add(block: IngestBlock, records: Uint8Array, count: number): void {
    const { eventTs, spendMicros, flags } = block.columns;
    if (this.#state.cells.surfaceSpend.generation !== this.#generation) this.#look();
    for (let k = 0; k < count; k++) {
      const i = records[k];
      if ((flags[i] & FLAG.surface) === 0) continue;
      const surface = block.surface(i);
      const own = this.#named(surface);
      const isOf = own !== undefined && eventTs[i] >= own.fromMs && eventTs[i] < own.fromMs + slotMs;
      const known = isOf ? own : this.#knownOf(surface, own, Math.floor(eventTs[i] / slotMs));
      known.micros = exactSum(known.micros, spendMicros[i]);
      known.impressions++;
    }
  }

  /** Puts what was added up into the cells. */
  settle(): void {
    for (const known of this.#known) this.#settle(known);
  }

  /** What a surface is counted under in an hour: by itself, where it has a cell or may have one. */
  #knownOf(surface: ByteRef, own: Known | undefined, hour: number): Known {
    if (own !== undefined && this.#turnTo(own, hour)) return own;
    const isOne = surface.end - surface.start <= MAX_BYTES && (this.#counts.get(hour) ?? 0) < MAX_SURFACES;
    if (isOne) return this.#enter(surface, own, hour);
    const nothing = this.#named(NOTHING);
    return nothing !== undefined && this.#turnTo(nothing, hour) ? nothing : this.#enter(NOTHING, nothing, hour);
  }

  #named({ bytes, start, end }: ByteRef): Known | undefined {
    const place = this.#names.find(bytes, start, end);
    return place === -1 ? undefined : this.#known[place];
  }

  /** False for a surface that has no cell in that hour. */
  #turnTo(known: Known, hour: number): boolean {
    const cell = this.#state.cells.surfaceSpend.find(known.group, 0, hour);
    if (cell !== -1) this.#turn(known, hour, cell);
    return cell !== -1;
  }

  #turn(known: Known, hour: number, cell: number): void {
    this.#settle(known);
    known.fromMs = hour * slotMs;
    known.cell = cell;
  }

  #settle(known: Known): void {
    if (known.impressions === 0) return;
    this.#state.cells.surfaceSpend.addTwo(known.cell, known.micros, known.impressions);
    known.micros = 0;
    known.impressions = 0;
  }

  /** A cell for a surface that has none in that hour, and perhaps in no other. */
  #enter(surface: ByteRef, own: Known | undefined, hour: number): Known {
    const { groups, cells } = this.#state;
    const known = own ?? this.#know(surface, groups.intern(surface));
    this.#turn(known, hour, cells.surfaceSpend.at(known.group, 0, hour));
    this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + 1);
    return known;
  }

  #know({ bytes, start, end }: ByteRef, group: number): Known {
    const known = { group, fromMs: Number.NaN, cell: -1, micros: 0, impressions: 0 };
    this.#known[this.#names.add(bytes, start, end)] = known;
    return known;
  }

  /** Nothing is waiting, for cells move only when all changes are committed. */
  #look(): void {
    const { groups, cells } = this.#state;
    this.#generation = cells.surfaceSpend.generation;
    this.#counts.clear();
    this.#known.length = 0;
    this.#names = new FewNames();
    const seen = new Set<number>();
    for (let i = 0; i < cells.surfaceSpend.size; i++) {
      const hour = cells.surfaceSpend.timeOf(i);
      this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + 1);
      seen.add(cells.surfaceSpend.groupOf(i));
    }
    for (const group of seen) {
      const bytes = groups.entityOf(group);
      this.#know({ bytes, start: 0, end: bytes.length }, group);
    }
  }
}

/**
 * Spend by surface and hour: a handful of names in practice, but nothing promises that. An hour takes so many of them; what comes
 * after, or has a long name, is counted under ''. Which ones those are follows from the cells, so a restart decides alike.
 */
import { BLOCK, type EventColumns, FLAG } from '../operators/event-columns.ts';
import { TARGETS } from '../operators/field-reader.ts';
import { grown } from '../state/cell-changes.ts';
import { exactSum } from '../state/cells.ts';
import { FewNames } from '../state/few-names.ts';
import { lastViewOf } from '../state/last-view.ts';
import type { IngestBlock } from './ingest-block.ts';
import type { IngestState } from './ingest-state.ts';
import { CELLS } from './partials.ts';
import type { ByteRef } from './types.ts';

const { slotMs } = CELLS.surfaceSpend;
const MAX_SURFACES = 64;
const MAX_BYTES = 64;
const NOTHING: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };

/** A surface that has a cell: its group, and the cell that is added up. */
interface Known {
  group: number;
  cell: number;
}

export class SurfaceSpend {
  readonly #state: IngestState;
  /** Every surface that has a cell, and how many an hour has: as the cells were at this generation, and with what came since. */
  readonly #known: Known[] = [];
  #names = new FewNames();
  readonly #counts = new Map<number, number>();
  #generation = -1;
  /** By surface: when the hour begins that is added up. */
  #fromMs = new Float64Array(MAX_SURFACES);
  /** And what is not yet in its cell: micros and impressions. */
  #sums = new Float64Array(2 * MAX_SURFACES);
  /** Of the last call of `add`: the records that name a surface, and which one, -1 where that is asked otherwise. */
  readonly #named = new Uint8Array(BLOCK);
  readonly #places = new Int32Array(BLOCK);

  constructor(state: IngestState) {
    this.#state = state;
  }

  /** Adds up the first `count` of these records, those of them that name a surface. Throws StreamError total_overflow, as `settle` does. */
  add(block: IngestBlock, records: Uint8Array, count: number): void {
    if (this.#state.cells.surfaceSpend.generation !== this.#generation) this.#look();
    const { eventTs, spendMicros } = block.columns;
    const left = this.#addKnown(block.columns, this.#findAll(block, records, count));
    for (let k = 0; k < left; k++) {
      const i = this.#named[k];
      this.#add(this.#placeOf(block.surface(i), Math.floor(eventTs[i] / slotMs)), spendMicros[i]);
    }
  }

  /** Puts what was added up into the cells. */
  settle(): void {
    for (let place = 0; place < this.#known.length; place++) this.#settle(place);
  }

  /** Finds the records among these that name a surface, and the surface where that is quickly done; returns how many they are. */
  #findAll({ columns: { flags, texts }, bytes }: IngestBlock, records: Uint8Array, count: number): number {
    const { starts, ends } = texts[TARGETS.surface];
    const view = lastViewOf(bytes);
    const names = this.#names;
    const named = this.#named;
    const places = this.#places;
    let size = 0;
    for (let k = 0; k < count; k++) {
      const i = records[k];
      if ((flags[i] & FLAG.surface) === 0) continue;
      named[size] = i;
      places[size++] = (flags[i] & FLAG.sure) === 0 ? -1 : names.findIn(view, starts[i], ends[i]);
    }
    return size;
  }

  /** Adds up those whose surface is known in their hour; returns how many are left, which then are the first. */
  #addKnown({ eventTs, spendMicros }: EventColumns, size: number): number {
    const named = this.#named;
    const places = this.#places;
    const fromMs = this.#fromMs;
    const sums = this.#sums;
    let left = 0;
    for (let k = 0; k < size; k++) {
      const i = named[k];
      const place = places[k];
      if (place >= 0 && eventTs[i] >= fromMs[place] && eventTs[i] < fromMs[place] + slotMs) {
        sums[2 * place] = exactSum(sums[2 * place], spendMicros[i]);
        sums[2 * place + 1]++;
      } else {
        named[left++] = i;
      }
    }
    return left;
  }

  #add(place: number, spendMicros: number): void {
    this.#sums[2 * place] = exactSum(this.#sums[2 * place], spendMicros);
    this.#sums[2 * place + 1]++;
  }

  /** What a surface is counted under in an hour: by itself, where it has a cell or may have one. */
  #placeOf(surface: ByteRef, hour: number): number {
    const own = this.#find(surface);
    if (own !== -1 && this.#turnTo(own, hour)) return own;
    const isOne = surface.end - surface.start <= MAX_BYTES && (this.#counts.get(hour) ?? 0) < MAX_SURFACES;
    if (isOne) return this.#enter(surface, own, hour);
    const nothing = this.#find(NOTHING);
    return nothing !== -1 && this.#turnTo(nothing, hour) ? nothing : this.#enter(NOTHING, nothing, hour);
  }

  #find({ bytes, start, end }: ByteRef): number {
    return this.#names.find(bytes, start, end);
  }

  /** False for a surface that has no cell in that hour. */
  #turnTo(place: number, hour: number): boolean {
    if (this.#fromMs[place] === hour * slotMs) return true;
    const cell = this.#state.cells.surfaceSpend.find(this.#known[place].group, 0, hour);
    if (cell !== -1) this.#turn(place, hour, cell);
    return cell !== -1;
  }

  #turn(place: number, hour: number, cell: number): void {
    this.#settle(place);
    this.#fromMs[place] = hour * slotMs;
    this.#known[place].cell = cell;
  }

  #settle(place: number): void {
    const sums = this.#sums;
    if (sums[2 * place + 1] === 0) return;
    this.#state.cells.surfaceSpend.addTwo(this.#known[place].cell, sums[2 * place], sums[2 * place + 1]);
    sums[2 * place] = 0;
    sums[2 * place + 1] = 0;
  }

  /** A cell for a surface that has none in that hour, and perhaps in no other. */
  #enter(surface: ByteRef, own: number, hour: number): number {
    const { groups, cells } = this.#state;
    const place = own === -1 ? this.#know(surface, groups.intern(surface)) : own;
    this.#turn(place, hour, cells.surfaceSpend.at(this.#known[place].group, 0, hour));
    this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + 1);
    return place;
  }

  #know({ bytes, start, end }: ByteRef, group: number): number {
    const place = this.#names.add(bytes, start, end);
    if (place === this.#fromMs.length) {
      this.#fromMs = grown(this.#fromMs, new Float64Array(2 * place));
      this.#sums = grown(this.#sums, new Float64Array(4 * place));
    }
    this.#known[place] = { group, cell: -1 };
    this.#fromMs[place] = Number.NaN;
    return place;
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

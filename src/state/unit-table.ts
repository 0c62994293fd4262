/** One table of units, of an experiment or of a part of it. */
import { freeNow, type MemoryBudget } from './memory-budget.ts';

const SLOT_BYTES = 10;
export const MIN_CAPACITY = 16;
/** A new unit is looked for in 13 slots then; at .86, for a fourteenth of the memory less, in 26. */
export const MAX_LOAD = 0.8;
/** A large experiment is split by the top bits of the hash. */
export const PARTS = 64;
export const PART_SHIFT = 26;

export type UnitVisitor = (experiment: number, hi: number, lo: number, payload: number) => void;

/** Open addressing; two words of hash a slot, and the payload beside it. A slot of two zero words is empty. */
export class UnitTable {
  hashes: Int32Array;
  payloads: Uint16Array;
  used = 0;
  limit: number;
  #scale: number;
  readonly #budget: MemoryBudget;

  constructor(capacity: number, budget: MemoryBudget) {
    const slots = Math.max(MIN_CAPACITY, Math.ceil(capacity));
    budget.reserve(slots * SLOT_BYTES);
    this.#budget = budget;
    this.hashes = new Int32Array(slots * 2);
    this.payloads = new Uint16Array(slots);
    this.limit = Math.floor(slots * MAX_LOAD);
    this.#scale = slots / 2 ** 32;
  }

  get byteLength(): number {
    return this.hashes.byteLength + this.payloads.byteLength;
  }

  /** The slot that holds the unit, or the empty one where it belongs as −1 − slot. */
  find(hi: number, lo: number): number {
    const hashes = this.hashes;
    for (let i = (((lo >>> 0) * this.#scale) | 0) << 1; ; i = i + 2 === hashes.length ? 0 : i + 2) {
      if (hashes[i] === hi && hashes[i + 1] === lo) return i >> 1;
      if (hashes[i] === 0 && hashes[i + 1] === 0) return -1 - (i >> 1);
    }
  }

  /** Reads where the unit would be, so that it waits in the cache. The result means nothing. */
  warm(lo: number): number {
    const slot = ((lo >>> 0) * this.#scale) | 0;
    return this.hashes[2 * slot] ^ this.payloads[slot];
  }

  put(slot: number, hi: number, lo: number, payload: number): void {
    this.hashes[slot * 2] = hi;
    this.hashes[slot * 2 + 1] = lo;
    this.payloads[slot] = payload;
    this.used++;
  }

  /** How many units fall into each part: not equally many where they came in order of the hash. */
  countParts(): Float64Array {
    const counts = new Float64Array(PARTS);
    visitSlots(0, this, 0, this.payloads.length, (_, hi) => counts[hi >>> PART_SHIFT]++);
    return counts;
  }

  /** Copies what falls into each part to its fresh table. */
  copyTo(parts: UnitTable[]): void {
    for (let slot = 0; slot < this.payloads.length; slot++) {
      const hi = this.hashes[slot * 2];
      const lo = this.hashes[slot * 2 + 1];
      if (hi === 0 && lo === 0) continue;
      const part = parts[hi >>> PART_SHIFT];
      part.put(-1 - part.find(hi, lo), hi, lo, this.payloads[slot]);
    }
  }

  /** Copies the units of a smaller table into this one, which has none: both are in the order of the hash, more or less, so neither is leapt about in. */
  takeAll({ hashes: theirs, payloads: given, used }: UnitTable): void {
    const { hashes, payloads } = this;
    const scale = this.#scale;
    for (let slot = 0; slot < given.length; slot++) {
      const hi = theirs[slot * 2];
      const lo = theirs[slot * 2 + 1];
      if ((hi | lo) === 0) continue;
      let at = ((lo >>> 0) * scale) | 0;
      while ((hashes[at * 2] | hashes[at * 2 + 1]) !== 0) at = at + 1 === payloads.length ? 0 : at + 1;
      hashes[at * 2] = hi;
      hashes[at * 2 + 1] = lo;
      payloads[at] = given[slot];
    }
    this.used = used;
  }

  release(): void {
    this.#budget.release(this.byteLength);
    freeNow(this.hashes);
    freeNow(this.payloads);
  }
}

export function visitSlots(experiment: number, { hashes, payloads }: UnitTable, start: number, end: number, visit: UnitVisitor): void {
  for (let slot = start; slot < end; slot++) {
    const hi = hashes[slot * 2];
    const lo = hashes[slot * 2 + 1];
    if (hi !== 0 || lo !== 0) visit(experiment, hi >>> 0, lo >>> 0, payloads[slot]);
  }
}

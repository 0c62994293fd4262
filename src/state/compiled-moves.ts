/** What moves a stretch of a dedup table within one memory, compiled (native/moves.ts): in two thirds of the time of the same in JavaScript. */

import type { KeyVisitor, LiveTags, Placing, Stretch } from './fingerprint-slots.ts';
import { TAG_SHIFT } from './fingerprint-slots.ts';
import { NATIVE_CODE } from './native-moves.ts';
import { Instance, Module, PAGE_BYTES, type PagedMemory } from './web-assembly.ts';

/** As native/moves.ts has it: where slots begin, and in words what it found and the keys without room. */
export const HEADER_BYTES = 4 * PAGE_BYTES;
const USED = 16;
const PLACED = 17;
const STRAYS = 18;
const KEYS = 32;
/** So many slots fit between. */
export const MOST_SLOTS = Math.floor((HEADER_BYTES - 4 * KEYS) / 12);

type Move = (from: number, to: number, capacity: number, scale: number, reach: number) => void;

let compiled: object | null = null;

export class CompiledMoves {
  readonly #memory: PagedMemory;
  readonly #move: Move;

  constructor(memory: PagedMemory) {
    compiled ??= new Module(Buffer.from(NATIVE_CODE, 'base64'));
    this.#memory = memory;
    this.#move = new Instance(compiled, { env: { memory } }).exports['move'] as Move;
  }

  /** `lift`, clearing of the stretch and `drop` in one. Returns by how much the number of used slots changes. */
  move({ from, to, capacity }: Stretch, { scale, reach }: Omit<Placing, 'lifted'>, live: LiveTags, strays: KeyVisitor): number {
    if (to - from > MOST_SLOTS) throw new RangeError(`a stretch of ${to - from} slots`);
    new Uint8Array(this.#memory.buffer).set(live);
    this.#move(from, to, capacity, scale, reach);
    const header = new Int32Array(this.#memory.buffer, 0, HEADER_BYTES / 4);
    for (let k = KEYS; k < KEYS + 3 * header[STRAYS]; k += 3) strays(header[k] >>> 0, header[k + 2] >>> 0, header[k + 1] >>> TAG_SHIFT);
    return header[PLACED] - header[USED];
  }
}

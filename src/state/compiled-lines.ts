/** What finds keys in the lines of one memory, and moves them there, compiled (native/lines.ts): in half the time of the same in JavaScript. */

import type { Entered, KeyVisitor, LiveTags, Placing, Stretch } from './fingerprint-lines.ts';
import { LINE, TAG_SHIFT } from './fingerprint-lines.ts';
import { HEADER_BYTES } from './growing-slots.ts';
import { KEYS_OF_BLOCK, type KeyBlock } from './key-block.ts';
import { NATIVE_CODE } from './native-lines.ts';
import { Instance, Module, type PagedMemory } from './web-assembly.ts';

/** As native/lines.ts has it, in words: what it found and the keys without room. */
const USED = 16;
const PLACED = 17;
const STRAYS = 18;
const KEYS = 2048;
const MOST_WARMED = 4096;
/** Of keys that are entered together, behind their upper words; and what came of them. */
const LOWER = KEYS + 1024;
const KEY_TAGS = KEYS + 2048;
const ADDED = KEYS + 5120;
const ADDED_KEYS = 19;
const TOOK_EMPTY = 20;
const CROWDED = 21;
/** So many lines of keys fit between. */
export const MOST_LINES = Math.floor((HEADER_BYTES - 4 * KEYS) / (12 * LINE));

interface Code {
  warm(count: number): number;
  has(hi: number, lo: number): number;
  enter(hi: number, lo: number, tag: number): Entered;
  enterAll(count: number): number;
  setExpired(mayBe: boolean): void;
  place(lines: number, nextLines: number, frontier: number, flip: number, reach: number): void;
  move(from: number, to: number, lines: number, nextLines: number, reach: number): void;
}

/** Among how many lines keys are: those whose home (among `lines`) is past the frontier have been moved by a pass, among `nextLines`. */
export interface Places {
  lines: number;
  nextLines: number;
  frontier: number;
  /** 0: past it are later homes; −1: earlier ones. */
  flip: 0 | -1;
  reach: number;
}

let compiled: object | null = null;

export class CompiledLines {
  readonly #memory: PagedMemory;
  readonly #code: Code;
  /** 1 when the key is there and live. */
  readonly has: Code['has'];
  /** As FingerprintTable.enter. */
  readonly enter: Code['enter'];
  #header: Int32Array;
  #views: ReturnType<typeof viewsOf>;

  /** Throws where the platform knows no such code. */
  constructor(memory: PagedMemory) {
    compiled ??= new Module(Buffer.from(NATIVE_CODE, 'base64'));
    this.#memory = memory;
    this.#code = new Instance(compiled, { env: { memory } }).exports as unknown as Code;
    this.has = this.#code.has;
    this.enter = this.#code.enter;
    this.#header = new Int32Array(memory.buffer, 0, HEADER_BYTES / 4);
    this.#views = viewsOf(memory.buffer);
  }

  /** For all that follows, until the next call: which tags are live, and whether slots of others may be there. */
  setLive(live: LiveTags, mayHoldExpired: boolean): void {
    new Uint8Array(this.#headerNow().buffer).set(live);
    this.#code.setExpired(mayHoldExpired);
  }

  /** For all that follows, until the next call. */
  place({ lines, nextLines, frontier, flip, reach }: Places): void {
    this.#code.place(lines, nextLines, frontier, flip, reach);
  }

  /** Reads the homes of keys `from` to `to`; what it returns means nothing. */
  warm(his: Uint32Array, from: number, to: number): number {
    if (to - from > MOST_WARMED) throw new RangeError(`${to - from} keys at once`);
    const header = this.#headerNow();
    for (let i = from; i < to; i++) header[KEYS + i - from] = his[i];
    return this.#code.warm(to - from);
  }

  /** Enters keys one after the other, and tells in the block what came of them, −2 where one has no room. Returns how many took an empty slot. */
  enterAll(keys: KeyBlock, tags: Int32Array): number {
    this.#headerNow();
    const views = this.#views;
    views.his.set(keys.his);
    views.los.set(keys.los);
    views.tags.set(tags);
    this.#code.enterAll(keys.size);
    keys.outcomes.set(views.tags);
    keys.addedBytes.set(views.added);
    keys.added = this.#header[ADDED_KEYS];
    keys.withoutRoom = this.#header[CROWDED];
    return this.#header[TOOK_EMPTY];
  }

  /** `lift`, clearing of the stretch and `drop` in one. Returns by how much the number of used slots changes. */
  move({ from, to, lines }: Stretch, { nextLines, reach }: Placing, strays: KeyVisitor): number {
    if (to - from > MOST_LINES) throw new RangeError(`a stretch of ${to - from} lines`);
    const header = this.#headerNow();
    this.#code.move(from, to, lines, nextLines, reach);
    for (let k = KEYS; k < KEYS + 3 * header[STRAYS]; k += 3) strays(header[k] >>> 0, header[k + 2] >>> 0, header[k + 1] >>> TAG_SHIFT);
    return header[PLACED] - header[USED];
  }

  /** A memory that has grown has another buffer. */
  #headerNow(): Int32Array {
    if (this.#header.length > 0) return this.#header;
    this.#views = viewsOf(this.#memory.buffer);
    this.#header = new Int32Array(this.#memory.buffer, 0, HEADER_BYTES / 4);
    return this.#header;
  }
}

/** Where keys lie that are entered together. */
const viewsOf = (buffer: ArrayBuffer): { his: Uint32Array; los: Uint32Array; tags: Int32Array; added: Uint8Array } => ({
  his: new Uint32Array(buffer, 4 * KEYS, KEYS_OF_BLOCK),
  los: new Uint32Array(buffer, 4 * LOWER, KEYS_OF_BLOCK),
  tags: new Int32Array(buffer, 4 * KEY_TAGS, KEYS_OF_BLOCK),
  added: new Uint8Array(buffer, 4 * ADDED, 8 * KEYS_OF_BLOCK),
});

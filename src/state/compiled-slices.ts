/** What works on the tables of slices, compiled (native/slices.ts), in one memory. */
import { KEYS_OF_BLOCK, type KeyBlock } from './key-block.ts';
import { NATIVE_CODE } from './native-slices.ts';
import { type Places, partLinesOf, type SliceCode, type SliceTable } from './slice-tables.ts';
import { Instance, Module, type PagedMemory } from './web-assembly.ts';

/** As native/slices.ts has them, in bytes. */
const KEYS = 1024;
const COLUMN = 256;
const ADDED = 4096;
const ADDED_KEYS = 512;
const PARTS = 640;

interface Code {
  enterAll(count: number): number;
  spread(from: number, lines: number, to: number): void;
  countParts(from: number, lines: number, shift: number): void;
  divide(from: number, lines: number, to: number, partLines: number, shift: number): void;
}

let compiled: object | null = null;

export class CompiledSlices implements SliceCode {
  readonly #memory: PagedMemory;
  readonly #code: Code;
  #views: ReturnType<typeof viewsOf>;

  /** Throws where the platform knows no such code. */
  constructor(memory: PagedMemory) {
    compiled ??= new Module(Buffer.from(NATIVE_CODE, 'base64'));
    this.#memory = memory;
    this.#code = new Instance(compiled, { env: { memory } }).exports as unknown as Code;
    this.#views = viewsOf(memory.buffer);
  }

  enterAll(keys: KeyBlock, places: Places): void {
    const { his, los, starts, masks, outcomes, added, addedKeys } = this.#viewsNow();
    his.set(keys.his);
    los.set(keys.los);
    starts.set(places.starts);
    masks.set(places.masks);
    this.#code.enterAll(keys.size);
    keys.outcomes.set(outcomes);
    keys.addedBytes.set(added);
    keys.added = addedKeys[0];
  }

  spread({ start, lines }: SliceTable, to: number): void {
    this.#code.spread(start, lines, to);
  }

  countParts({ start, lines, shift }: SliceTable): Uint32Array {
    this.#code.countParts(start, lines, shift);
    return this.#viewsNow().parts.slice();
  }

  divide(table: SliceTable, to: number): void {
    this.#code.divide(table.start, table.lines, to, partLinesOf(table), table.shift);
  }

  /** A memory that has grown has another buffer. */
  #viewsNow(): ReturnType<typeof viewsOf> {
    if (this.#views.his.length === 0) this.#views = viewsOf(this.#memory.buffer);
    return this.#views;
  }
}

const column = (buffer: ArrayBuffer, index: number): Uint32Array => new Uint32Array(buffer, KEYS + index * COLUMN, KEYS_OF_BLOCK);

const viewsOf = (buffer: ArrayBuffer) => ({
  his: column(buffer, 0),
  los: column(buffer, 1),
  starts: column(buffer, 2),
  masks: column(buffer, 3),
  outcomes: new Int32Array(buffer, KEYS + 4 * COLUMN, KEYS_OF_BLOCK),
  added: new Uint8Array(buffer, ADDED, 8 * KEYS_OF_BLOCK),
  addedKeys: new Uint32Array(buffer, ADDED_KEYS, 1),
  parts: new Uint32Array(buffer, PARTS, 8),
});

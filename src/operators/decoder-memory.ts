/**
 * Memory that compiled code (native/decode.ts, native/records.ts) sees, with that code bound to it. A large response of a broker is
 * received in one, so that its records are found and read where they lie; what is found of them lies behind it.
 */
import { Instance, Memory, Module, PAGE_BYTES } from '../state/web-assembly.ts';
import type { RecordRun } from '../topology/types.ts';
import { BLOCK, COLUMNS_BYTES, EventColumns } from './event-columns.ts';
import { NATIVE_CODE } from './native-code.ts';

/** Places, in bytes. Nothing lies at 0; the code has constants of its own from 1024 on. */
const WANTED_AT = 64;
const CONFIGS_AT = 4096;
/** So much a configuration. */
export const CONFIG_BYTES = 4096;
const MOST_CONFIGS = PAGE_BYTES / CONFIG_BYTES - 1;
const BLOCK_AT = PAGE_BYTES;
/** Spans and times of a block that lie elsewhere. */
const VALUES_AT = BLOCK_AT + COLUMNS_BYTES;
const KEYS_AT = VALUES_AT + 8 * BLOCK;
const TIMES_AT = KEYS_AT + 8 * BLOCK;
/** Where bytes are put. */
export const BYTES_AT = 2 * PAGE_BYTES;
/** Code that reads a text may read so much beyond it. */
const BEYOND_BYTES = 4096;
/** Of columns, a record: two doubles, two spans. */
export const RECORD_BYTES = 32;
/** There is room for the columns of records that take this many bytes or more. */
const USUAL_RECORD_BYTES = 96;
/** As native/records.ts says it of a batch. */
const NOT_SURE = -1;

/** A batch whose records are to be found: see OpenBatch. */
interface Wanted {
  start: number;
  end: number;
  baseOffset: number;
  lastOffset: number;
  baseTimeMs: number;
  appendTimeMs: number;
  count: number;
}

interface Code {
  decodeBlock(config: number, block: number, values: number, keys: number, times: number, size: number): number;
  findRecords(wanted: number): number;
}

/** Where the columns of some records lie, in bytes, and how many there may be. */
export interface ColumnRoom {
  memory: DecoderMemory;
  at: number;
  capacity: number;
}

/** Undefined before it is asked for, null where the platform runs no such code. */
let compiled: object | null | undefined;

/** The system has refused such memory: V8 collects its whole heap before it gives up, which is not to be done for each response. */
let isRefused = false;

function code(): object | null {
  if (compiled !== undefined) return compiled;
  try {
    compiled = new Module(Buffer.from(NATIVE_CODE, 'base64'));
  } catch {
    compiled = null;
  }
  return compiled;
}

const columnsAfter = (byteLength: number): number => Math.ceil((BYTES_AT + byteLength + BEYOND_BYTES) / 8) * 8;

const known = new WeakMap<ArrayBufferLike, DecoderMemory>();

export class DecoderMemory {
  readonly buffer: ArrayBuffer;
  /** From BYTES_AT on, for whoever has it. */
  readonly byteLength: number;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** Of the block that was read last. */
  readonly columns: EventColumns;
  readonly #doubles: Float64Array;
  readonly #code: Code;
  /** By what they are made of. */
  readonly #configs = new Map<string, number>();
  readonly #columnsAt: number;
  #freeAt: number;

  private constructor(memory: { buffer: ArrayBuffer }, bound: Code, byteLength: number) {
    this.buffer = memory.buffer;
    this.byteLength = byteLength;
    this.bytes = new Uint8Array(this.buffer);
    this.words = new Int32Array(this.buffer);
    this.#doubles = new Float64Array(this.buffer);
    this.columns = new EventColumns(this.buffer, BLOCK_AT);
    this.#code = bound;
    this.#columnsAt = columnsAfter(byteLength);
    this.#freeAt = this.#columnsAt;
  }

  /** With room for so many bytes. Null where there is no such code, or such memory was refused once. */
  static make(byteLength: number): DecoderMemory | null {
    const module = isRefused ? null : code();
    if (module === null) return null;
    const columnsBytes = Math.ceil(byteLength / USUAL_RECORD_BYTES) * RECORD_BYTES;
    const pages = Math.ceil((columnsAfter(byteLength) + columnsBytes) / PAGE_BYTES);
    try {
      const memory = new Memory({ initial: pages, maximum: pages });
      const { exports } = new Instance(module, { env: { memory } });
      const made = new DecoderMemory(memory, exports as unknown as Code, byteLength);
      known.set(made.buffer, made);
      return made;
    } catch {
      isRefused = true;
      return null;
    }
  }

  /** The one that this is the memory of; null for other memory. */
  static of(buffer: ArrayBufferLike): DecoderMemory | null {
    return known.get(buffer) ?? null;
  }

  /** For bytes of somebody else: no columns are read any more. */
  clear(): void {
    this.#freeAt = this.#columnsAt;
  }

  /** Room for the columns of records; null when too little is left. */
  roomFor(capacity: number): ColumnRoom | null {
    const at = this.#freeAt;
    if (at + capacity * RECORD_BYTES > this.buffer.byteLength) return null;
    this.#freeAt += capacity * RECORD_BYTES;
    return { memory: this, at, capacity };
  }

  /** Finds the records of a batch that lies here: adds those from an offset on to columns here, and returns how many, -1 when it is not sure. */
  find(wanted: Wanted, fromOffset: number, { at, capacity }: ColumnRoom, size: number): number {
    // Beyond that two records may have one offset, which it is not for that code to tell.
    if (!Number.isSafeInteger(wanted.baseOffset) || !Number.isSafeInteger(wanted.lastOffset)) return NOT_SURE;
    const doubles = this.#doubles;
    const { words } = this;
    doubles[WANTED_AT / 8] = wanted.baseOffset;
    doubles[WANTED_AT / 8 + 1] = wanted.baseTimeMs;
    doubles[WANTED_AT / 8 + 2] = wanted.appendTimeMs;
    doubles[WANTED_AT / 8 + 3] = fromOffset;
    words[WANTED_AT / 4 + 8] = wanted.start;
    words[WANTED_AT / 4 + 9] = wanted.end;
    words[WANTED_AT / 4 + 10] = wanted.count;
    words[WANTED_AT / 4 + 11] = wanted.lastOffset - wanted.baseOffset;
    for (let column = 0; column < 4; column++) words[WANTED_AT / 4 + 12 + column] = at + 8 * (column * capacity + size);
    return this.#code.findRecords(WANTED_AT);
  }

  /** Reads the records of a run that lies here: those with the flag `sure` are good, and of others nothing is said. Returns how many are sure. */
  decode(config: number, { from, size, values, keys, timesMs }: RecordRun): number {
    const { words, buffer } = this;
    if (values.buffer === buffer) {
      const at = 8 * from;
      return this.#code.decodeBlock(config, BLOCK_AT, values.byteOffset + at, keys.byteOffset + at, timesMs.byteOffset + at, size);
    }
    for (let i = 0; i < 2 * size; i++) {
      words[VALUES_AT / 4 + i] = values[2 * from + i];
      words[KEYS_AT / 4 + i] = keys[2 * from + i];
    }
    for (let i = 0; i < size; i++) this.#doubles[TIMES_AT / 8 + i] = timesMs[from + i];
    return this.#code.decodeBlock(config, BLOCK_AT, VALUES_AT, KEYS_AT, TIMES_AT, size);
  }

  /** Where a configuration lies, written when it is not there. @param name what it is made of */
  config(name: string, image: Uint8Array): number {
    const there = this.#configs.get(name);
    if (there !== undefined) return there;
    if (this.#configs.size === MOST_CONFIGS) this.#configs.clear();
    const at = CONFIGS_AT + this.#configs.size * CONFIG_BYTES;
    this.#configs.set(name, at);
    this.bytes.set(image, at);
    return at;
  }
}

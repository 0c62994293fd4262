/**
 * The usual record, read and hashed by compiled code (native/decode.ts) sixteen bytes at a time: half of what the same takes in
 * JavaScript. The values of a block are copied to where that code can see them. What it is not sure of goes to FastDecoder.
 */
import type { SeededHash } from '../state/hash.ts';
import type { IdBlock } from '../state/id-block.ts';
import { Instance, Memory, Module, PAGE_BYTES } from '../state/web-assembly.ts';
import type { ByteRef, RecordRun, Stream } from '../topology/types.ts';
import type { DecoderOptions } from './decode.ts';
import { FIELDS } from './decode-fields.ts';
import type { DecodedEvent } from './decoded-event.ts';
import { COLUMNS_AT, COLUMNS_BYTES, EventColumns, FLAG } from './event-columns.ts';
import { fieldPath } from './field-mapping.ts';
import { TARGETS } from './field-reader.ts';
import { NATIVE_CODE } from './native-code.ts';

/** As native/decode.ts has it, in bytes: places in a configuration, and in what a record says besides its columns. */
const AT = { impression: 0, maxSpend: 8, required: 16, fields: 20, key: 24, targets: 32, nameStarts: 64, names: 136, end: 1024 } as const;
const CONFIG_BYTES = 4096;
const RESULT = { version: 4, received: 16, assigned: 24, texts: 40, attributes: 96 } as const;
const TEXTS = 7;

const CONFIGS_AT = PAGE_BYTES;
const VALUES_AT = 1 << 20;
/** Values of a block that have no room before are left to others. */
const VALUES_END = VALUES_AT + (1 << 18);
/** The block, in a page behind the values and what may be read beyond them. */
const COLUMNS_FROM = VALUES_END + PAGE_BYTES;
const PAGES = COLUMNS_FROM / PAGE_BYTES + Math.ceil(COLUMNS_BYTES / PAGE_BYTES);
/** A name that JSON can only hold as it is, in ASCII. */
const PLAIN_NAME = /^[ !#-[\]-~]+$/;

interface Engine {
  decodeBlock(config: number, block: number, size: number): void;
  bytes: Uint8Array;
  words: Int32Array;
  numbers: Float64Array;
  columns: EventColumns;
  /** Configurations by what they are made of: a few in a process. */
  configs: Map<string, number>;
}

let known: Engine | null | undefined;

/** One for all: what it works on is of the block that is being judged. Null where the platform runs no such code. */
function engine(): Engine | null {
  if (known !== undefined) return known;
  try {
    const memory = new Memory({ initial: PAGES, maximum: PAGES });
    const { exports } = new Instance(new Module(Buffer.from(NATIVE_CODE, 'base64')), { env: { memory } });
    const views = { bytes: new Uint8Array(memory.buffer), words: new Int32Array(memory.buffer), numbers: new Float64Array(memory.buffer) };
    const columns = new EventColumns(memory.buffer, COLUMNS_FROM);
    known = { decodeBlock: exports['decodeBlock'] as Engine['decodeBlock'], ...views, columns, configs: new Map() };
  } catch {
    known = null;
  }
  return known;
}

export interface NativeOptions extends Pick<DecoderOptions, 'mapping' | 'maxSpendMicros'> {
  hash: SeededHash;
}

export class NativeDecoder {
  readonly #engine: Engine;
  readonly #config: number;
  /** Texts that the stream has. */
  readonly #texts: Uint8Array;

  private constructor(given: Engine, config: number, texts: number[]) {
    this.#engine = given;
    this.#config = config;
    this.#texts = Uint8Array.from(texts);
  }

  /** Null where there is no such code, or the mapping asks for more than plain, distinct names at the top. */
  static create(stream: Stream, options: NativeOptions): NativeDecoder | null {
    const given = engine();
    const config = given === null ? null : configOf(given, stream, options);
    if (given === null || config === null) return null;
    const texts = FIELDS[stream].map(({ target }) => TARGETS[target]).filter((target) => target < TEXTS);
    return new NativeDecoder(given, config, texts);
  }

  /** Of the block that was read last, by whichever decoder. */
  get columns(): EventColumns {
    return this.#engine.columns;
  }

  /** Reads the records of a run, at most BLOCK: those with the flag `sure` are good, and of others nothing is said. */
  read(run: RecordRun): void {
    const { bytes: to, words } = this.#engine;
    const { bytes, values, from, size } = run;
    const spans = (COLUMNS_FROM + COLUMNS_AT.spans) / 4;
    let at = VALUES_AT;
    for (let i = 0; i < size; ) {
      const start = values[2 * (from + i)];
      let end = values[2 * (from + i) + 1];
      let next = i + 1;
      // Values that lie one after the other are copied together, with what is between them, as many as there is room for.
      for (; start >= 0 && next < size && values[2 * (from + next)] >= end; next++) {
        if (at + values[2 * (from + next) + 1] - start > VALUES_END) break;
        end = values[2 * (from + next) + 1];
      }
      const fits = start >= 0 && at + end - start <= VALUES_END;
      if (fits) to.set(bytes.subarray(start, end), at);
      for (; i < next; i++) {
        // Nothing is the value of those that do not fit.
        words[spans + 2 * i] = fits ? at + values[2 * (from + i)] - start : VALUES_END;
        words[spans + 2 * i + 1] = fits ? at + values[2 * (from + i) + 1] - start : VALUES_END;
      }
      if (fits) at += end - start;
    }
    this.#engine.decodeBlock(this.#config, COLUMNS_FROM, size);
  }

  /** All that record `i` says, if it is a sure one: valid until the next `read`. */
  event(i: number, into: DecodedEvent): void {
    const { words, numbers, bytes, columns } = this.#engine;
    const flags = columns.flags[i];
    const result = (COLUMNS_FROM + COLUMNS_AT.results + i * COLUMNS_AT.resultBytes) / 4;
    into.hasUser = (flags & FLAG.user) !== 0;
    into.hasAdvertiser = (flags & FLAG.advertiser) !== 0;
    into.hasSurface = (flags & FLAG.surface) !== 0;
    into.valid = (flags & FLAG.valid) !== 0;
    into.hasAttributes = (flags & FLAG.attributes) !== 0;
    into.allocationVersion = words[result + RESULT.version / 4];
    into.eventTs = columns.eventTs[i];
    into.spendMicros = columns.spendMicros[i];
    into.receivedTs = numbers[(result + RESULT.received / 4) / 2];
    into.assignedTs = numbers[(result + RESULT.assigned / 4) / 2];
    for (let k = 0; k < this.#texts.length; k++) {
      const text = this.#texts[k];
      this.text(i, text, into.texts[text]);
    }
    if (!into.hasAttributes) return;
    into.attributes.bytes = bytes;
    into.attributes.start = words[result + RESULT.attributes / 4];
    into.attributes.end = words[result + RESULT.attributes / 4 + 1];
  }

  /** One text of the first `size` records, and an empty one of those that are not sure. @param text its number among TARGETS */
  texts(text: number, size: number, into: IdBlock): void {
    const { words, bytes, columns } = this.#engine;
    into.bytes = bytes;
    let at = (COLUMNS_FROM + COLUMNS_AT.results + RESULT.texts) / 4 + 2 * text;
    for (let i = 0; i < size; i++, at += COLUMNS_AT.resultBytes / 4) {
      const isSure = (columns.flags[i] & FLAG.sure) !== 0;
      into.starts[i] = isSure ? words[at] : 0;
      into.ends[i] = isSure ? words[at + 1] : 0;
    }
  }

  /** One text of a sure record. @param text its number among TARGETS */
  text(i: number, text: number, into: ByteRef): void {
    const { words, bytes } = this.#engine;
    const at = (COLUMNS_FROM + COLUMNS_AT.results + i * COLUMNS_AT.resultBytes + RESULT.texts) / 4 + 2 * text;
    // Storing a pointer is dear where a number is not.
    if (into.bytes !== bytes) into.bytes = bytes;
    into.start = words[at];
    into.end = words[at + 1];
  }
}

/** Where the configuration lies, written when it is new; null when the names are not plain ones, or too many. */
function configOf({ bytes, configs }: Engine, stream: Stream, { mapping, maxSpendMicros, hash }: NativeOptions): number | null {
  const fields = FIELDS[stream];
  const paths = fields.map(({ name }) => fieldPath(mapping, name));
  const names = paths.map(([name]) => name);
  const length = names.reduce((sum, name) => sum + name.length, 0);
  const isPlain = paths.every((path) => path.length === 1 && PLAIN_NAME.test(path[0])) && new Set(names).size === names.length;
  if (!isPlain || AT.names + length > AT.end) return null;
  const is = JSON.stringify([stream, names, maxSpendMicros, hash.id]);
  const config = configs.get(is) ?? CONFIGS_AT + configs.size * CONFIG_BYTES;
  if (configs.has(is)) return config;
  if (config + CONFIG_BYTES > VALUES_AT) return null;
  configs.set(is, config);
  const view = new DataView(bytes.buffer, config, CONFIG_BYTES);
  view.setInt32(AT.impression, stream === 'impressions' ? 1 : 0, true);
  view.setFloat64(AT.maxSpend, maxSpendMicros, true);
  view.setInt32(AT.fields, fields.length, true);
  hash.writeKey(view, AT.key);
  let required = 0;
  let at = 0;
  fields.forEach((field, number) => {
    if (field.required) required |= 1 << number;
    view.setUint8(AT.targets + number, TARGETS[field.target]);
    view.setUint16(AT.nameStarts + 2 * number, at, true);
    bytes.set(Buffer.from(names[number], 'latin1'), config + AT.names + at);
    at += names[number].length;
  });
  view.setUint16(AT.nameStarts + 2 * fields.length, at, true);
  view.setInt32(AT.required, required, true);
  return config;
}

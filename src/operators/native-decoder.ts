/**
 * The usual record, read and hashed by compiled code (native/decode.ts) sixteen bytes at a time: half of what the same takes in
 * JavaScript. Values are read where they lie if that code can see them there, else they are copied to where it can, a block at a
 * time. What it is not sure of goes to FastDecoder.
 */
import type { SeededHash } from '../state/hash.ts';
import type { ByteRef, RecordRun, Stream } from '../topology/types.ts';
import type { DecoderOptions } from './decode.ts';
import { FIELDS } from './decode-fields.ts';
import type { DecodedEvent } from './decoded-event.ts';
import { BYTES_AT, CONFIG_BYTES, DecoderMemory } from './decoder-memory.ts';
import { BLOCK, type EventColumns, FLAG, type SpanColumns } from './event-columns.ts';
import { fieldPath } from './field-mapping.ts';
import { TARGETS, TEXTS } from './field-reader.ts';

/** As native/layout.ts has it, in bytes: places in a configuration. */
const AT = {
  impression: 0,
  maxSpend: 8,
  required: 16,
  fields: 20,
  key: 24,
  targets: 32,
  maxSkew: 48,
  nameStarts: 64,
  names: 136,
  end: 1024,
} as const;
/** Values of a block that are copied and have no room are left to others. */
const COPIED_BYTES = 1 << 18;
/** Of a value that was not copied. */
const NOTHING = -1;
/** A name that JSON can only hold as it is, in ASCII. */
const PLAIN_NAME = /^[ !#-[\]-~]+$/;

/** Where values are copied to: one for all, for what it holds is of the block that is being judged. */
let common: DecoderMemory | null | undefined;

export interface NativeOptions extends Pick<DecoderOptions, 'mapping' | 'maxSpendMicros' | 'maxFutureSkewMs'> {
  hash: SeededHash;
}

/** What the code is told of a stream, and a name of just that. */
interface Config {
  name: string;
  image: Uint8Array;
}

export class NativeDecoder {
  readonly #copied: DecoderMemory;
  readonly #copy: RecordRun;
  readonly #config: Config;
  /** Texts that the stream has. */
  readonly #texts: Uint8Array;
  /** Where the block lies that was read last. */
  #memory: DecoderMemory;

  private constructor(copied: DecoderMemory, config: Config, texts: number[]) {
    this.#copied = copied;
    this.#memory = copied;
    this.#config = config;
    this.#texts = Uint8Array.from(texts);
    const spans = { keys: new Int32Array(2 * BLOCK), values: new Int32Array(2 * BLOCK) };
    const times = { offsets: new Float64Array(BLOCK), timesMs: new Float64Array(BLOCK) };
    this.#copy = { bytes: copied.bytes, from: 0, size: 0, ...times, ...spans };
  }

  /** Null where there is no such code, or the mapping asks for more than plain, distinct names at the top. */
  static create(stream: Stream, options: NativeOptions): NativeDecoder | null {
    if (common === undefined) common = DecoderMemory.make(COPIED_BYTES);
    const config = common === null ? null : configOf(stream, options);
    if (common === null || config === null) return null;
    const texts = FIELDS[stream].map(({ target }) => TARGETS[target]).filter((target) => target < TEXTS);
    return new NativeDecoder(common, config, texts);
  }

  /** Of the block that was read last. */
  get columns(): EventColumns {
    return this.#memory.columns;
  }

  /** What the spans in the columns are of. */
  get bytes(): Uint8Array {
    return this.#memory.bytes;
  }

  /** Reads the records of a run, at most BLOCK: those with the flag `sure` are good, and of others nothing is said. Returns how many are sure. */
  read(run: RecordRun): number {
    const { bytes } = run;
    if (bytes !== this.#memory.bytes) this.#memory = (bytes.byteOffset === 0 ? DecoderMemory.of(bytes.buffer) : null) ?? this.#copied;
    const memory = this.#memory;
    const config = memory.config(this.#config.name, this.#config.image);
    return memory.decode(config, memory.bytes.buffer === bytes.buffer ? run : this.#copyOf(run));
  }

  /** All that record `i` says, if it is a sure one: valid until the next `read`. */
  event(i: number, into: DecodedEvent): void {
    const { columns } = this;
    const flags = columns.flags[i];
    into.hasUser = (flags & FLAG.user) !== 0;
    into.hasAdvertiser = (flags & FLAG.advertiser) !== 0;
    into.hasSurface = (flags & FLAG.surface) !== 0;
    into.valid = (flags & FLAG.valid) !== 0;
    into.hasAttributes = (flags & FLAG.attributes) !== 0;
    into.allocationVersion = columns.versions[i];
    into.eventTs = columns.eventTs[i];
    into.spendMicros = columns.spendMicros[i];
    into.receivedTs = columns.receivedTs[i];
    into.assignedTs = columns.assignedTs[i];
    for (let k = 0; k < this.#texts.length; k++) {
      const text = this.#texts[k];
      this.text(i, text, into.texts[text]);
    }
    if (into.hasAttributes) this.#refer(columns.attributes, i, into.attributes);
  }

  /** One text of a sure record. @param text its number among TARGETS */
  text(i: number, text: number, into: ByteRef): void {
    this.#refer(this.columns.texts[text], i, into);
  }

  #refer(spans: SpanColumns, i: number, into: ByteRef): void {
    const { bytes } = this;
    // Storing a pointer is dear where a number is not.
    if (into.bytes !== bytes) into.bytes = bytes;
    into.start = spans.starts[i];
    into.end = spans.ends[i];
  }

  /** The run where the code can see it; nothing is the value of records that have no room there. */
  #copyOf({ bytes, from, size, values, keys, timesMs }: RecordRun): RecordRun {
    const copy = this.#copy;
    copy.size = size;
    let at = BYTES_AT;
    for (let i = 0; i < size; ) {
      const start = values[2 * (from + i)];
      let end = values[2 * (from + i) + 1];
      let next = i + 1;
      // Values that lie one after the other are copied together, with what is between them, as many as there is room for.
      for (; start >= 0 && next < size && values[2 * (from + next)] >= end; next++) {
        if (at + values[2 * (from + next) + 1] - start > BYTES_AT + COPIED_BYTES) break;
        end = values[2 * (from + next) + 1];
      }
      const fits = start >= 0 && at + end - start <= BYTES_AT + COPIED_BYTES;
      if (fits) this.#copied.bytes.set(bytes.subarray(start, end), at);
      for (; i < next; i++) {
        copy.values[2 * i] = fits ? at + values[2 * (from + i)] - start : NOTHING;
        copy.values[2 * i + 1] = fits ? at + values[2 * (from + i) + 1] - start : NOTHING;
        copy.keys[2 * i] = keys[2 * (from + i)];
        copy.timesMs[i] = timesMs[from + i];
      }
      if (fits) at += end - start;
    }
    return copy;
  }
}

/** Null when the names are not plain ones, or too many. */
function configOf(stream: Stream, { mapping, maxSpendMicros, maxFutureSkewMs, hash }: NativeOptions): Config | null {
  const fields = FIELDS[stream];
  const paths = fields.map(({ name }) => fieldPath(mapping, name));
  const names = paths.map(([name]) => name);
  const length = names.reduce((sum, name) => sum + name.length, 0);
  const isPlain = paths.every((path) => path.length === 1 && PLAIN_NAME.test(path[0])) && new Set(names).size === names.length;
  if (!isPlain || AT.names + length > AT.end) return null;
  const image = new Uint8Array(CONFIG_BYTES);
  const view = new DataView(image.buffer);
  view.setInt32(AT.impression, stream === 'impressions' ? 1 : 0, true);
  view.setFloat64(AT.maxSpend, maxSpendMicros, true);
  view.setFloat64(AT.maxSkew, maxFutureSkewMs, true);
  view.setInt32(AT.fields, fields.length, true);
  hash.writeKey(view, AT.key);
  let required = 0;
  let at = 0;
  fields.forEach((field, number) => {
    if (field.required) required |= 1 << number;
    view.setUint8(AT.targets + number, TARGETS[field.target]);
    view.setUint16(AT.nameStarts + 2 * number, at, true);
    image.set(Buffer.from(names[number], 'latin1'), AT.names + at);
    at += names[number].length;
  });
  view.setUint16(AT.nameStarts + 2 * fields.length, at, true);
  view.setInt32(AT.required, required, true);
  return { name: JSON.stringify([stream, names, maxSpendMicros, maxFutureSkewMs, hash.id]), image };
}

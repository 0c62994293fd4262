/**
 * The usual record, read and hashed by compiled code (native/decode.ts) sixteen bytes at a time: half of what the same takes in
 * JavaScript. The values of a block are copied to where that code can see them. What it is not sure of goes to FastDecoder.
 */
import type { SeededHash } from '../state/hash.ts';
import { Instance, Memory, Module, PAGE_BYTES } from '../state/web-assembly.ts';
import type { RecordView, Stream } from '../topology/types.ts';
import type { DecoderOptions } from './decode.ts';
import { FIELDS } from './decode-fields.ts';
import type { DecodedEvent } from './decoded-event.ts';
import { fieldPath } from './field-mapping.ts';
import { TARGETS } from './field-reader.ts';
import { NATIVE_CODE } from './native-code.ts';

/** As native/decode.ts has it, in bytes: places in a configuration, in its result, and flags. */
const AT = { impression: 0, maxSpend: 8, required: 16, fields: 20, key: 24, targets: 32, nameStarts: 64, names: 136, end: 1024 } as const;
const RESULT_AT = 4096;
const CONFIG_BYTES = 4096 + 256;
const RESULT = { idHash: 4, entityHash: 12, suspectHash: 20, version: 28, numbers: 32, texts: 64, attributes: 120 } as const;
const FLAG = { user: 1, advertiser: 2, surface: 4, valid: 8, attributes: 16 } as const;
const TEXTS = 7;

const CONFIGS_AT = PAGE_BYTES;
const VALUES_AT = 1 << 20;
/** Values of a block beyond that are left to others. */
const VALUES_END = VALUES_AT + (1 << 18);
const NOT_THERE = Number.MIN_SAFE_INTEGER;
/** A name that JSON can only hold as it is, in ASCII. */
const PLAIN_NAME = /^[ !#-[\]-~]+$/;

interface Engine {
  decode(config: number, start: number, end: number): number;
  bytes: Uint8Array;
  words: Int32Array;
  numbers: Float64Array;
  /** Configurations by what they are made of: a few in a process. */
  configs: Map<string, number>;
}

let known: Engine | null | undefined;

/** One for all: what it works on is of the block that is being judged. Null where the platform runs no such code. */
function engine(): Engine | null {
  if (known !== undefined) return known;
  try {
    const memory = new Memory({ initial: VALUES_END / PAGE_BYTES + 1, maximum: VALUES_END / PAGE_BYTES + 1 });
    const { exports } = new Instance(new Module(Buffer.from(NATIVE_CODE, 'base64')), { env: { memory } });
    const views = { bytes: new Uint8Array(memory.buffer), words: new Int32Array(memory.buffer), numbers: new Float64Array(memory.buffer) };
    known = { decode: exports['decode'] as Engine['decode'], ...views, configs: new Map() };
  } catch {
    known = null;
  }
  return known;
}

export interface NativeOptions extends Pick<DecoderOptions, 'mapping' | 'maxSpendMicros'> {
  hash: SeededHash;
  /** The most records of a block. */
  block: number;
}

export class NativeDecoder {
  readonly #engine: Engine;
  readonly #config: number;
  /** Where its result begins, in words. */
  readonly #result: number;
  /** Texts that the stream has. */
  readonly #texts: Uint8Array;
  /** By record of the block: how far its value lies from where it was. */
  readonly #shifts: Float64Array;

  private constructor(given: Engine, config: number, { texts, block }: { texts: number[]; block: number }) {
    this.#engine = given;
    this.#config = config;
    this.#result = (config + RESULT_AT) / 4;
    this.#texts = Uint8Array.from(texts);
    this.#shifts = new Float64Array(block);
  }

  /** Null where there is no such code, or the mapping asks for more than plain, distinct names at the top. */
  static create(stream: Stream, options: NativeOptions): NativeDecoder | null {
    const given = engine();
    const config = given === null ? null : configOf(given, stream, options);
    if (given === null || config === null) return null;
    const texts = FIELDS[stream].map(({ target }) => TARGETS[target]).filter((target) => target < TEXTS);
    return new NativeDecoder(given, config, { texts, block: options.block });
  }

  /** The records to be decoded next. */
  take(views: readonly RecordView[], size: number): void {
    const { bytes: to } = this.#engine;
    let at = VALUES_AT;
    for (let from = 0; from < size; ) {
      const { value, valueStart } = views[from];
      let { valueEnd } = views[from];
      let next = from + 1;
      // Values that lie one after the other are copied together, with what is between them.
      while (next < size && views[next].value === value && views[next].valueStart >= valueEnd) valueEnd = views[next++].valueEnd;
      const fits = value !== null && at + valueEnd - valueStart <= VALUES_END;
      if (fits) to.set(value.subarray(valueStart, valueEnd), at);
      for (let i = from; i < next; i++) this.#shifts[i] = fits ? at - valueStart : NOT_THERE;
      if (fits) at += valueEnd - valueStart;
      from = next;
    }
  }

  /** True when the value of record `i` is good, and all of it is in `into`, valid until the next `take`; else nothing is said. */
  decode(i: number, { valueStart, valueEnd }: RecordView, into: DecodedEvent): boolean {
    const { words, numbers, bytes } = this.#engine;
    const shift = this.#shifts[i];
    if (shift === NOT_THERE || this.#engine.decode(this.#config, valueStart + shift, valueEnd + shift) === 0) return false;
    const result = this.#result;
    const flags = words[result];
    into.hasUser = (flags & FLAG.user) !== 0;
    into.hasAdvertiser = (flags & FLAG.advertiser) !== 0;
    into.hasSurface = (flags & FLAG.surface) !== 0;
    into.valid = (flags & FLAG.valid) !== 0;
    into.hasAttributes = (flags & FLAG.attributes) !== 0;
    into.allocationVersion = words[result + RESULT.version / 4];
    const number = (result + RESULT.numbers / 4) / 2;
    into.eventTs = numbers[number];
    into.receivedTs = numbers[number + 1];
    into.assignedTs = numbers[number + 2];
    into.spendMicros = numbers[number + 3];
    for (let k = 0; k < this.#texts.length; k++) {
      const text = this.#texts[k];
      const ref = into.texts[text];
      if (ref.bytes !== bytes) ref.bytes = bytes;
      ref.start = words[result + RESULT.texts / 4 + 2 * text];
      ref.end = words[result + RESULT.texts / 4 + 2 * text + 1];
    }
    if (!into.hasAttributes) return true;
    into.attributes.bytes = bytes;
    into.attributes.start = words[result + RESULT.attributes / 4];
    into.attributes.end = words[result + RESULT.attributes / 4 + 1];
    return true;
  }

  /** Of the event decoded last: the hash of its id, of its entity, and its suspect's key, which means nothing where nobody is tied to it. */
  copyHash(of: 'idHash' | 'entityHash' | 'suspectHash', to: { his: Uint32Array; los: Uint32Array }, i: number): void {
    const { words } = this.#engine;
    const at = this.#result + RESULT[of] / 4;
    to.his[i] = words[at];
    to.los[i] = words[at + 1];
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

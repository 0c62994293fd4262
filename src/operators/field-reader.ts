import { MAX_ALLOCATION_VERSION, MAX_ID_CODE_POINTS, type Target } from './decode-fields.ts';
import type { DecodedEvent } from './decoded-event.ts';
import * as json from './json-scan.ts';
import { readRfc3339 } from './time-text.ts';

const UNSURE = -1;
/** More could be beyond 2^53. */
const MAX_DIGITS = 15;
const TRUE = 0x74;
const FOUR_ZEROS = 0x30303030;

/** Numbers for what is done with a field; those of texts are their places in `DecodedEvent.texts`. */
export const TARGETS: Readonly<Record<Target, number>> = {
  eventId: 0,
  entityId: 1,
  variantId: 2,
  unitId: 3,
  userId: 4,
  advertiserId: 5,
  surface: 6,
  eventTs: 7,
  receivedTs: 8,
  assignedTs: 9,
  spendMicros: 10,
  allocationVersion: 11,
  valid: 12,
  attributes: 13,
};

/** Texts among them. */
export const TEXTS = TARGETS.surface + 1;

/** How the texts among them are checked: the numbers up to here are ids. */
const LAST_ID = TARGETS.advertiserId;

/** Reads the value of a listed field where it lies, as long as it is written in the usual way. */
export class FieldReader {
  readonly #maxSpendMicros: number;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Of the same bytes. */
  #view = new DataView(this.#bytes.buffer);
  #end = 0;
  #integer = 0;
  readonly #ms = new Float64Array(1);

  constructor(maxSpendMicros: number) {
    this.#maxSpendMicros = maxSpendMicros;
  }

  get view(): DataView {
    return this.#view;
  }

  /** The buffer to read in, and where its value ends; returns a view of its bytes. */
  begin(bytes: Uint8Array, end: number): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.#end = end;
    return this.#view;
  }

  /** Where the value of a field ends that begins with a quote, or UNSURE; `at` is after the quote. */
  readQuoted(target: number, at: number, into: DecodedEvent): number {
    const bytes = this.#bytes;
    const end = json.plainTextEnd(bytes, this.#view, at, this.#end);
    if (end < 0) return UNSURE;
    if (target > TARGETS.surface) return this.#quotedTime(target, at, end, into);
    // So many bytes are no more code points than that; of longer ones the slow path counts.
    if (target <= LAST_ID && (end === at || end - at > MAX_ID_CODE_POINTS)) return UNSURE;
    const ref = into.texts[target];
    // Storing a pointer is dear where a number is not.
    if (ref.bytes !== bytes) ref.bytes = bytes;
    ref.start = at;
    ref.end = end;
    if (target >= TARGETS.userId) {
      if (target === TARGETS.userId) into.hasUser = true;
      else if (target === TARGETS.surface) into.hasSurface = true;
      else into.hasAdvertiser = true;
    }
    return end + 1;
  }

  /** The same of a value that begins otherwise, and is not null. */
  read(target: number, at: number, into: DecodedEvent): number {
    let end: number;
    switch (target) {
      case TARGETS.eventTs:
        end = this.#digits(at);
        into.eventTs = this.#integer;
        return end;
      case TARGETS.receivedTs:
        end = this.#digits(at);
        into.receivedTs = this.#integer;
        return end;
      case TARGETS.assignedTs:
        end = this.#digits(at);
        into.assignedTs = this.#integer;
        return end;
      case TARGETS.spendMicros:
        end = this.#digits(at);
        into.spendMicros = this.#integer;
        return this.#integer <= this.#maxSpendMicros ? end : UNSURE;
      case TARGETS.allocationVersion:
        end = this.#digits(at);
        into.allocationVersion = this.#integer;
        return this.#integer >= 1 && this.#integer <= MAX_ALLOCATION_VERSION ? end : UNSURE;
      case TARGETS.valid:
        into.valid = this.#bytes[at] === TRUE;
        return into.valid ? json.afterTrue(this.#bytes, at) : json.afterFalse(this.#bytes, at);
      case TARGETS.attributes:
        return this.#object(at, into);
      default:
        return UNSURE;
    }
  }

  #quotedTime(target: number, at: number, end: number, into: DecodedEvent): number {
    readRfc3339(this.#bytes, at, end, this.#ms);
    const ms = this.#ms[0];
    if (!(ms >= 0)) return UNSURE;
    if (target === TARGETS.eventTs) into.eventTs = ms;
    else if (target === TARGETS.receivedTs) into.receivedTs = ms;
    else if (target === TARGETS.assignedTs) into.assignedTs = ms;
    else return UNSURE;
    return end + 1;
  }

  /** A number written as 1 to 15 digits and nothing else. */
  #digits(at: number): number {
    const bytes = this.#bytes;
    const last = this.#end - 4;
    let i = at;
    let value = 0;
    for (; i <= last; i += 4) {
      const four = this.#view.getInt32(i, true) ^ FOUR_ZEROS;
      // A byte above 9 has its highest bit, or gets it: then there are fewer digits than four.
      if ((((four + 0x76767676) | four) & 0x80808080) !== 0) break;
      // Bytes 0 and 2: the first two digits as one number, and the second two.
      const twos = Math.imul(four, 10) + (four >>> 8);
      value = value * 10_000 + (twos & 0x7f) * 100 + ((twos >>> 16) & 0x7f);
    }
    while (i < this.#end && json.isDigit(bytes[i])) value = value * 10 + bytes[i++] - json.ZERO;
    this.#integer = value;
    const count = i - at;
    if (count === 0 || count > MAX_DIGITS || (bytes[at] === json.ZERO && count > 1)) return UNSURE;
    // What follows must be a comma or the end of the object: a fraction or an exponent is neither.
    return i;
  }

  #object(at: number, into: DecodedEvent): number {
    const end = json.afterValue(this.#bytes, at, this.#end, 1);
    if (this.#bytes[at] !== json.OPEN_BRACE) return UNSURE;
    into.hasAttributes = true;
    into.attributes.bytes = this.#bytes;
    into.attributes.start = at;
    into.attributes.end = end;
    return end;
  }
}

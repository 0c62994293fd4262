import type { ByteRef } from '../topology/types.ts';
import { MAX_ALLOCATION_VERSION, MAX_ID_CODE_POINTS, type Target } from './decode-fields.ts';
import type { DecodedEvent } from './decoded-event.ts';
import * as json from './json-scan.ts';
import { readRfc3339 } from './time-text.ts';

const UNSURE = -1;
/** More could be beyond 2^53. */
const MAX_DIGITS = 15;
const TRUE = 0x74;

/** Numbers for the switch that every field goes through. */
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

/** Reads the value of a listed field where it lies, as long as it is written in the usual way. */
export class FieldReader {
  readonly #maxSpendMicros: number;
  #bytes: Uint8Array = new Uint8Array(0);
  /** A view of the same bytes. */
  #words = new DataView(this.#bytes.buffer);
  #end = 0;
  #integer = 0;
  readonly #ms = new Float64Array(1);

  constructor(maxSpendMicros: number) {
    this.#maxSpendMicros = maxSpendMicros;
  }

  /** The buffer to read in, and where its value ends; returns a view of its bytes. */
  begin(bytes: Uint8Array, end: number): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.#end = end;
    return this.#words;
  }

  /** Where the field's value ends, or UNSURE. */
  read(target: number, at: number, into: DecodedEvent): number {
    switch (target) {
      case TARGETS.eventId:
        return this.#id(at, into.eventId);
      case TARGETS.entityId:
        return this.#id(at, into.entityId);
      case TARGETS.variantId:
        return this.#id(at, into.variantId);
      case TARGETS.unitId:
        return this.#id(at, into.unitId);
      case TARGETS.userId:
        into.hasUser = true;
        return this.#id(at, into.userId);
      case TARGETS.advertiserId:
        into.hasAdvertiser = true;
        return this.#id(at, into.advertiserId);
      case TARGETS.surface:
        into.hasSurface = true;
        return this.#text(at, into.surface);
      default:
        return this.#readOther(target, at, into);
    }
  }

  #readOther(target: number, at: number, into: DecodedEvent): number {
    let end: number;
    switch (target) {
      case TARGETS.eventTs:
        end = this.#time(at);
        into.eventTs = this.#integer;
        return end;
      case TARGETS.receivedTs:
        end = this.#time(at);
        into.receivedTs = this.#integer;
        return end;
      case TARGETS.assignedTs:
        end = this.#time(at);
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
      default:
        return this.#object(at, into);
    }
  }

  #text(at: number, ref: ByteRef): number {
    if (this.#bytes[at] !== json.QUOTE) return UNSURE;
    const end = json.plainTextEnd(this.#bytes, this.#words, at + 1, this.#end);
    ref.bytes = this.#bytes;
    ref.start = at + 1;
    ref.end = end;
    return end < 0 ? UNSURE : end + 1;
  }

  #id(at: number, ref: ByteRef): number {
    const end = this.#text(at, ref);
    const length = ref.end - ref.start;
    // So many bytes are no more code points than that; of longer ones the slow path counts.
    return length >= 1 && length <= MAX_ID_CODE_POINTS ? end : UNSURE;
  }

  #time(at: number): number {
    const bytes = this.#bytes;
    if (bytes[at] !== json.QUOTE) return this.#digits(at);
    const end = json.plainTextEnd(bytes, this.#words, at + 1, this.#end);
    readRfc3339(bytes, at + 1, end, this.#ms);
    this.#integer = this.#ms[0];
    return this.#integer >= 0 ? end + 1 : UNSURE;
  }

  /** A number written as 1 to 15 digits and nothing else. */
  #digits(at: number): number {
    const bytes = this.#bytes;
    let i = at;
    let value = 0;
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

import type { SeededHash } from '../state/hash.ts';
import type { RecordView, Stream } from '../topology/types.ts';
import { FastDecoder } from './decode-fast.ts';
import { reasonNumber } from './decode-reasons.ts';
import { SlowDecoder } from './decode-slow.ts';
import type { DecodedEvent } from './decoded-event.ts';
import type { FieldMapping } from './field-mapping.ts';
import { NativeDecoder } from './native-decoder.ts';

export { INVALID_REASONS, type InvalidReason, REASON_TEXTS } from './decode-reasons.ts';
export { DecodedEvent } from './decoded-event.ts';
export { type FieldMapping, mappingProblems } from './field-mapping.ts';

export interface DecoderOptions {
  mapping: FieldMapping;
  maxSpendMicros: number;
  maxFutureSkewMs: number;
  /** A value that begins with byte 0 is JSON after a header of 5 bytes (JSON Schema serialisers write that). Default false: it is invalid. */
  schemaRegistryFraming?: boolean;
}

const GOOD = 0;
const NULL_VALUE = reasonNumber('null_value');
const FRAMED = reasonNumber('schema_registry_framing');
const MISSING_KEY = reasonNumber('missing_key');
const CLOCK_SKEW = reasonNumber('clock_skew');
const FRAME_BYTES = 5;

/**
 * Reads records of one stream. The fast path scans the bytes in place and is certain when it says yes; whatever it is
 * not sure of goes to the slow path, JSON.parse and the contract's sentences one by one, which alone says no.
 */
export class Decoder {
  readonly #stream: Stream;
  readonly #options: DecoderOptions;
  readonly #fast: FastDecoder | null;
  readonly #slow: SlowDecoder;
  readonly #maxFutureSkewMs: number;
  readonly #framing: boolean;

  constructor(stream: Stream, options: DecoderOptions) {
    this.#options = options;
    this.#stream = stream;
    this.#fast = FastDecoder.create(stream, options);
    this.#slow = new SlowDecoder(stream, options);
    this.#maxFutureSkewMs = options.maxFutureSkewMs;
    this.#framing = options.schemaRegistryFraming ?? false;
  }

  /** The same for usual records, and their hashes with it; null where there is none. */
  native(hash: SeededHash): NativeDecoder | null {
    return NativeDecoder.create(this.#stream, { ...this.#options, hash });
  }

  /** 0 when the record is good, else the index of its reason in INVALID_REASONS. Allocates nothing on the usual path. */
  decode(record: RecordView, into: DecodedEvent): number {
    return this.#decode(record, into, this.#fast);
  }

  /** The same answer by the slow path alone: what the fast one is tested against. */
  decodeSlow(record: RecordView, into: DecodedEvent): number {
    return this.#decode(record, into, null);
  }

  #decode(record: RecordView, into: DecodedEvent, fast: FastDecoder | null): number {
    const bytes = record.value;
    if (bytes === null) return NULL_VALUE;
    let start = record.valueStart;
    const end = record.valueEnd;
    if (start < end && bytes[start] === 0) {
      if (!this.#framing || end - start < FRAME_BYTES) return FRAMED;
      start += FRAME_BYTES;
    }
    if (fast === null || !fast.decode(bytes, start, end, into)) {
      const reason = this.#slow.decode(bytes, start, end, into);
      if (reason !== GOOD) return reason;
    }
    return this.check(record.key !== null, record.timestampMs, into.eventTs);
  }

  /** What is wrong with a record whose value is good; 0 when nothing is. */
  check(hasKey: boolean, timestampMs: number, eventTs: number): number {
    if (!hasKey) return MISSING_KEY;
    // Without a Kafka timestamp (NaN) this is false.
    return eventTs > timestampMs + this.#maxFutureSkewMs ? CLOCK_SKEW : GOOD;
  }
}

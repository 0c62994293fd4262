import { DecodedEvent, Decoder, type DecoderOptions, INVALID_REASONS } from '../../src/operators/decode.ts';
import { EventColumns, FLAG } from '../../src/operators/event-columns.ts';
import type { NativeDecoder } from '../../src/operators/native-decoder.ts';
import { isTied } from '../../src/operators/suspect.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';
import { type ByteRef, type RecordRun, RecordView, type Stream } from '../../src/topology/types.ts';

export const OPTIONS: DecoderOptions = { mapping: {}, maxSpendMicros: 10 ** 12, maxFutureSkewMs: 300_000 };

/** What lies around the value in its buffer; a scanner that runs over the end would find its missing bytes here. */
const BEFORE = Buffer.from('{"event_id":"before"},');
const AFTER = Buffer.from('"}]}0","x":{"y":["z"]}}}');

/** A record whose value lies in the middle of a larger buffer. */
export function recordOf(value: string | Uint8Array): RecordView {
  const bytes = Buffer.from(value as string);
  const record = new RecordView();
  record.key = Buffer.from('key');
  record.keyEnd = 3;
  record.value = Buffer.concat([BEFORE, bytes, AFTER]);
  record.valueStart = BEFORE.length;
  record.valueEnd = BEFORE.length + bytes.length;
  return record;
}

/** These records as they lie in a fetch: values one behind the other. */
export function runOf(records: readonly RecordView[]): RecordRun {
  const cut = (bytes: Uint8Array | null, start: number, end: number) => bytes?.subarray(start, end) ?? null;
  const listed = records.map((record) => ({
    offset: record.offset,
    timestampMs: record.timestampMs,
    key: cut(record.key, record.keyStart, record.keyEnd),
    value: cut(record.value, record.valueStart, record.valueEnd),
  }));
  const run = new ListedBatch({ topic: 't', partition: 0, nextOffset: 0, endOffset: 0, byteLength: 0 }, listed).take(records.length);
  if (run === null) throw new Error('no records');
  return run;
}

const bytesOf = (ref: ByteRef): string => Buffer.from(ref.bytes.subarray(ref.start, ref.end)).toString('latin1');

/** All that a stream's records say; what is absent is null. Texts as one character a byte, so that WTF-8 survives. */
export function contentOf(stream: Stream, event: DecodedEvent): Record<string, unknown> {
  const shared = { eventTs: event.eventTs, eventId: bytesOf(event.eventId), entityId: bytesOf(event.entityId) };
  const attributes = event.hasAttributes ? bytesOf(event.attributes) : null;
  if (stream === 'impressions') {
    const { spendMicros, valid, receivedTs } = event;
    const userId = event.hasUser ? bytesOf(event.userId) : null;
    const advertiserId = event.hasAdvertiser ? bytesOf(event.advertiserId) : null;
    const surface = event.hasSurface ? bytesOf(event.surface) : null;
    return { ...shared, spendMicros, valid, receivedTs, userId, advertiserId, surface, attributes };
  }
  const { allocationVersion, assignedTs, receivedTs } = event;
  const variantId = bytesOf(event.variantId);
  return { ...shared, variantId, unitId: bytesOf(event.unitId), allocationVersion, assignedTs, receivedTs, attributes };
}

export interface Outcome {
  reason: string;
  content: Record<string, unknown> | null;
}

const outcome = (stream: Stream, number: number, event: DecodedEvent): Outcome => ({
  reason: INVALID_REASONS[number],
  content: number === 0 ? contentOf(stream, event) : null,
});

/** One decoder and one event for all records of a stream, as in a task: what one record leaves behind is seen by the next. */
export class BothPaths {
  readonly #decoder: Decoder;
  readonly #hash = new SeededHash(new Uint8Array(8).fill(3));
  /** Null where the mapping asks for more than it can do. */
  readonly #native: NativeDecoder | null;
  readonly #event = new DecodedEvent();
  readonly #stream: Stream;

  constructor(stream: Stream, options: Partial<DecoderOptions> = {}) {
    this.#stream = stream;
    this.#decoder = new Decoder(stream, { ...OPTIONS, ...options });
    this.#native = this.#decoder.native(this.#hash);
  }

  usual(record: RecordView): Outcome {
    return outcome(this.#stream, this.#decoder.decode(record, this.#event), this.#event);
  }

  /** What the compiled code says: null where it leaves the record to others. */
  native(record: RecordView): (Outcome & { hashes: number[] }) | null {
    const native = this.#native;
    if (native === null) return null;
    native.read(runOf([record]));
    const { columns } = native;
    if ((columns.flags[0] & FLAG.sure) === 0) return null;
    native.event(0, this.#event);
    const hashed = [columns.ids, columns.entities];
    if ((columns.flags[0] & FLAG.tied) !== 0) hashed.push(columns.suspects);
    if (this.#stream !== 'impressions') hashed.push(columns.units, columns.variants);
    const hashes = hashed.flatMap(({ his, los }) => [his[0], los[0]]);
    return {
      ...outcome(this.#stream, this.#decoder.check(record.key !== null, record.timestampMs, columns.eventTs[0]), this.#event),
      hashes,
    };
  }

  /** Of the record that another path has read last, what the native one should have hashed. */
  hashes(): number[] {
    const columns = new EventColumns();
    columns.set(0, this.#stream, this.#event, this.#hash);
    const { ids, entities, suspects, units, variants } = columns;
    const hashed = [ids, entities];
    if (isTied(this.#stream, this.#event)) hashed.push(suspects);
    if (this.#stream !== 'impressions') hashed.push(units, variants);
    return hashed.flatMap(({ his, los }) => [his[0], los[0]]);
  }

  slow(record: RecordView): Outcome {
    return outcome(this.#stream, this.#decoder.decodeSlow(record, this.#event), this.#event);
  }
}

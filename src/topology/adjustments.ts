/**
 * The reconciler's records in `exposure-stream.partials`, among those of ingest (partials.ts): hours of campaigns whose total
 * the truth replaces. Absolute, so that one may come any number of times; of two for one hour the higher cut stands.
 * Packed, little-endian, versioned; partitioned as cells are, by murmur2 of the entity.
 */
import { StreamError } from '../errors.ts';
import { type ByteReader, ByteWriter } from '../state/bytes.ts';

export const ADJUSTMENTS_MAGIC = 0xe6;
const FORMAT = 1;
const HOUR_MS = 3_600_000;
/** Far below what a broker takes in one record. */
const MAX_RECORD_BYTES = 256 * 1024;

export interface Adjustment {
  campaignId: string;
  /** Start of the UTC hour. */
  hourMs: number;
  /** What the hour holds. Whole numbers; below 0 where billing took back more than it had booked in it. */
  spendMicros: number;
  impressions: number;
  /** The cut (T, B) of the run that says so, epoch ms. */
  untilMs: number;
  bookedBeforeMs: number;
}

/** Values of records that together hold all of these; one campaign's stay together unless a record grows too large. */
export function writeAdjustments(adjustments: readonly Adjustment[]): Uint8Array[] {
  const values: Uint8Array[] = [];
  const body = new ByteWriter();
  let count = 0;
  const end = (): void => {
    if (count === 0) return;
    const head = new ByteWriter(body.length + 16);
    head.u8(ADJUSTMENTS_MAGIC);
    head.u8(FORMAT);
    head.varint(count);
    head.bytes(body.view());
    body.reset();
    count = 0;
    values.push(head.take());
  };
  for (const { campaignId, hourMs, spendMicros, impressions, untilMs, bookedBeforeMs } of adjustments) {
    body.string(campaignId);
    body.varint(hourMs / HOUR_MS);
    for (const value of [spendMicros, impressions, untilMs, bookedBeforeMs]) body.f64(value);
    count++;
    if (body.length >= MAX_RECORD_BYTES) end();
  }
  end();
  return values;
}

/**
 * True when one of them was taken: `each` says whether.
 * @throws StreamError partial_format when it is newer than this program; RangeError when its bytes end early
 */
export function readAdjustments(from: ByteReader, each: (adjustment: Adjustment) => boolean): boolean {
  from.u8();
  const format = from.u8();
  if (format > FORMAT) {
    throw new StreamError(
      'partial_format',
      `an adjustment in .partials has format ${format}, this program reads up to ${FORMAT}: upgrade it`,
    );
  }
  let taken = false;
  for (let left = from.varint(); left > 0; left--) {
    const [campaignId, hour] = [from.string(), from.varint()];
    const [spendMicros, impressions] = [from.f64(), from.f64()];
    const adjustment = { campaignId, hourMs: hour * HOUR_MS, spendMicros, impressions, untilMs: from.f64(), bookedBeforeMs: from.f64() };
    if (each(adjustment)) taken = true;
  }
  return taken;
}

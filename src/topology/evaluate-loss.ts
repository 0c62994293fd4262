/**
 * Which days evaluate may know only in part, after its own state or records of `.partials` were lost (design §3 must 9).
 * Once a source has been read to its end again, all that it ever sent lies before the watermark it has then, or before the
 * clock (an event cannot be later than its record): days that begin later than that are known in full. Its first mark after
 * the loss would not do: ingest may be counting again from the beginning.
 */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { Mark } from './partials.ts';

/** Watermarks follow the highest event time at a distance, and clocks differ. */
const SLACK_MS = 86_400_000;

export class Loss {
  /** Also what never ends: totals of a life (units, contaminated) may be too low from then on. */
  happened = false;
  #boundMs = Number.NEGATIVE_INFINITY;
  /** Sources of impressions that have been read to their end since; null when all of them have been. */
  #caughtUp: Set<number> | null = null;

  begin(): void {
    this.happened = true;
    this.#caughtUp = new Set();
  }

  /** A mark has come from a source; `markMs` is its Kafka time. */
  hear(source: number, mark: Pick<Mark, 'stream' | 'partitions' | 'endAgeMs' | 'watermarkMs'>, markMs: number): void {
    if (this.#caughtUp === null || mark.stream !== 'impressions' || mark.endAgeMs === null) return;
    const clockMs = Number.isFinite(markMs) ? markMs : Number.NEGATIVE_INFINITY;
    this.#boundMs = Math.max(this.#boundMs, clockMs, mark.watermarkMs ?? Number.NEGATIVE_INFINITY);
    this.#caughtUp.add(source);
    if (this.#caughtUp.size >= mark.partitions) this.#caughtUp = null;
  }

  /** Whether spend from this time on may be missing. */
  reaches(fromMs: number): boolean {
    return this.happened && (this.#caughtUp !== null || fromMs < this.#boundMs + SLACK_MS);
  }

  write(to: ByteWriter): void {
    to.u8(this.happened ? 1 : 0);
    if (!this.happened) return;
    to.f64(this.#boundMs);
    to.u8(this.#caughtUp === null ? 1 : 0);
    to.varint(this.#caughtUp?.size ?? 0);
    for (const source of this.#caughtUp ?? []) to.varint(source);
  }

  read(from: ByteReader): void {
    this.happened = from.u8() === 1;
    if (!this.happened) return;
    this.#boundMs = from.f64();
    const isBounded = from.u8() === 1;
    const caughtUp = new Set<number>();
    for (let left = from.varint(); left > 0; left--) caughtUp.add(from.varint());
    this.#caughtUp = isBounded ? null : caughtUp;
  }
}

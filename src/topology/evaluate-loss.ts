/**
 * Which days evaluate may know only in part, after its own state or records of `.partials` were lost (design §3 must 9).
 * What is missing was sent before the first mark of each source that came after the loss, so it lies before that mark's
 * watermark; days that begin later are known in full.
 */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { Mark } from './partials.ts';

/** A watermark follows the highest event time at a distance, and the last owner's marks may come after the next one's. */
const SLACK_MS = 86_400_000;

export class Loss {
  /** Also what never ends: totals of a life (units, contaminated) may be too low from then on. */
  happened = false;
  #boundMs = Number.NEGATIVE_INFINITY;
  /** Sources of impressions heard of since; null when all of them have been. */
  #heard: Set<number> | null = null;

  begin(): void {
    this.happened = true;
    this.#heard = new Set();
  }

  /** A mark has come from a source. One that has accepted nothing since its log began has contributed nothing. */
  hear(source: number, mark: Pick<Mark, 'stream' | 'partitions' | 'origin' | 'watermarkMs'>): void {
    if (this.#heard === null || mark.stream !== 'impressions' || (mark.watermarkMs === null && mark.origin > 0)) return;
    this.#boundMs = Math.max(this.#boundMs, mark.watermarkMs ?? Number.NEGATIVE_INFINITY);
    this.#heard.add(source);
    if (this.#heard.size >= mark.partitions) this.#heard = null;
  }

  /** Whether spend from this time on may be missing. */
  reaches(fromMs: number): boolean {
    return this.happened && (this.#heard !== null || fromMs < this.#boundMs + SLACK_MS);
  }

  write(to: ByteWriter): void {
    to.u8(this.happened ? 1 : 0);
    if (!this.happened) return;
    to.f64(this.#boundMs);
    to.u8(this.#heard === null ? 1 : 0);
    to.varint(this.#heard?.size ?? 0);
    for (const source of this.#heard ?? []) to.varint(source);
  }

  read(from: ByteReader): void {
    this.happened = from.u8() === 1;
    if (!this.happened) return;
    this.#boundMs = from.f64();
    const isBounded = from.u8() === 1;
    const heard = new Set<number>();
    for (let left = from.varint(); left > 0; left--) heard.add(from.varint());
    this.#heard = isBounded ? null : heard;
  }
}

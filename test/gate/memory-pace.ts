/** A Redis with `pace:` keys in memory: its own clock, slow or hanging or gone as the story wants. */
import type { GateClock } from '../../src/gate/clock.ts';
import { BRIEF_FIELDS, PACE_FIELDS, paceKey } from '../../src/gate/pace-fields.ts';
import { type PaceText, paceText, SEPARATOR } from '../../src/gate/pace-text.ts';
import type { PaceReader, PaceReading } from '../../src/gate/reader.ts';
import type { HandClock } from '../topology/hand-clock.ts';
import type { PaceHash } from './pace-key.ts';

export class MemoryPace implements PaceReader {
  readonly hashes = new Map<string, PaceHash>();
  /** What it was asked, in order: how many keys. */
  readonly reads: number[] = [];
  /** Of these, for how many the whole key was asked. */
  wholeKeys = 0;
  failsWhole = false;
  state: 'up' | 'down' | 'hangs' = 'up';
  delayMs = 0;
  /** Its clock minus the story's. */
  aheadMs = 0;
  reconnects = 0;
  isClosed = false;
  readonly #clock: HandClock;

  constructor(clock: HandClock) {
    this.#clock = clock;
  }

  /** Redis TIME. */
  get timeMs(): number {
    return this.#clock.now().wallMs + this.aheadMs;
  }

  set(campaignId: string, hash: PaceHash): void {
    this.hashes.set(paceKey('', campaignId), hash);
  }

  async read(keys: readonly string[], areWhole: boolean): Promise<PaceReading> {
    this.reads.push(keys.length);
    if (areWhole) this.wholeKeys += keys.length;
    if (this.state === 'down' || (areWhole && this.failsWhole)) throw new Error('connection refused');
    if (this.state === 'hangs') return new Promise<never>(() => undefined);
    const reading = { redisMs: this.timeMs, texts: keys.map((key) => this.#text(key, areWhole)) };
    if (this.delayMs > 0) await this.#clock.sleep(this.delayMs);
    return reading;
  }

  reconnect(): void {
    this.reconnects += 1;
  }

  close(): void {
    this.isClosed = true;
  }

  #text(key: string, areWhole: boolean): PaceText {
    const hash = this.hashes.get(key) ?? {};
    const fields = areWhole ? PACE_FIELDS : BRIEF_FIELDS;
    return paceText(fields.map((field) => hash[field] ?? '').join(SEPARATOR));
  }
}

/** The gate's clock in a story. Chance is the middle: every cycle is as long as the setting. */
export const gateClock = (clock: HandClock): GateClock => ({
  monotonicMs: () => clock.now().monotonicMs,
  sleep: (ms, signal) => clock.sleep(ms, signal),
  random: () => 0.5,
});

/** A Redis for a study: the fences of the real one, and nothing copied that need not be, for it is asked a hundred million times. */
import { BRIEF_FIELDS, PACE_FIELDS } from '../../src/gate/pace-fields.ts';
import { ABSENT, type PaceText, paceText, SEPARATOR } from '../../src/gate/pace-text.ts';
import type { PaceReader, PaceReading } from '../../src/gate/reader.ts';
import type { CounterOutcome, CounterSink, CounterWrite, CounterWriter } from '../../src/topology/types.ts';
import type { VirtualClock } from './virtual-clock.ts';

const NOTHING = paceText(ABSENT);
/** As the real sink waits at most. */
const RETRY_MS = 500;

interface Stored {
  fields: Readonly<Record<string, string>>;
  epoch: number;
  version: number;
  updatedMs: number;
  /** As a gate reads it, once one has: whole, and the brief fields. */
  texts: [PaceText | null, PaceText | null];
}

type Fence = Pick<Stored, 'epoch' | 'version'>;

const isBehind = (one: Fence, other: Fence): boolean =>
  one.epoch < other.epoch || (one.epoch === other.epoch && one.version < other.version);

export class StudyRedis implements PaceReader {
  readonly #clock: VirtualClock;
  readonly #held = new Map<string, Stored>();
  readonly #markers = new Map<number, Fence>();
  isDown = false;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** Redis TIME. */
  get timeMs(): number {
    return Math.floor(this.#clock.epochMs);
  }

  field(key: string, name: string): string | undefined {
    return this.#held.get(key)?.fields[name];
  }

  wipe(): void {
    this.#held.clear();
    this.#markers.clear();
  }

  /** Null when it was written; else what is higher. */
  set({ epoch, version }: CounterWriter, { key, fields, onlyExisting }: CounterWrite): Fence | null {
    const before = this.#held.get(key);
    if (before === undefined && onlyExisting) return null;
    if (before !== undefined && isBehind({ epoch, version }, before)) return before;
    this.#held.set(key, { fields, epoch, version, updatedMs: this.timeMs, texts: [null, null] });
    return null;
  }

  /** True when it is missing, or behind what is expected. */
  moveMarker({ partition, epoch, version }: CounterWriter, expected: Fence | null): boolean {
    const stored = this.#markers.get(partition);
    this.#markers.set(partition, { epoch, version });
    return expected !== null && (stored === undefined || isBehind(stored, expected));
  }

  read(keys: readonly string[], areWhole: boolean): Promise<PaceReading> {
    if (this.isDown) return Promise.reject(new Error('Redis is down'));
    return Promise.resolve({ redisMs: this.timeMs, texts: keys.map((key) => this.#text(key, areWhole)) });
  }

  reconnect(): void {}

  close(): void {}

  #text(key: string, areWhole: boolean): PaceText {
    const stored = this.#held.get(key);
    if (stored === undefined) return NOTHING;
    const which = areWhole ? 0 : 1;
    const fields = areWhole ? PACE_FIELDS : BRIEF_FIELDS;
    stored.texts[which] ??= paceText(fields.map((name) => this.#value(stored, name)).join(SEPARATOR));
    return stored.texts[which];
  }

  #value(stored: Stored, name: string): string {
    if (name === 'epoch') return String(stored.epoch);
    if (name === 'version') return String(stored.version);
    return name === 'updated_ms' ? String(stored.updatedMs) : (stored.fields[name] ?? '');
  }
}

/** One process' way to it. */
export class StudyCounters implements CounterSink {
  readonly #redis: StudyRedis;
  readonly #clock: VirtualClock;
  readonly #step: () => Promise<void>;
  readonly #expected = new Map<number, Fence>();

  constructor(redis: StudyRedis, clock: VirtualClock, step: () => Promise<void>) {
    this.#redis = redis;
    this.#clock = clock;
    this.#step = step;
  }

  async write(writer: CounterWriter, writes: readonly CounterWrite[]): Promise<CounterOutcome> {
    await this.#step();
    while (this.#redis.isDown) await this.#clock.sleep(RETRY_MS);
    const refused: CounterOutcome['refused'] = [];
    for (const write of writes) {
      if (write.keepLarger) throw new Error('in a study no state is lost');
      const higher = this.#redis.set(writer, write);
      if (higher) refused.push({ key: write.key, ...higher });
    }
    const dataLost = this.#redis.moveMarker(writer, this.#expected.get(writer.partition) ?? null);
    this.#expected.set(writer.partition, { epoch: writer.epoch, version: writer.version });
    return { refused, dataLost, kept: [], timeMs: this.#redis.timeMs };
  }

  async close(): Promise<void> {}
}

import { type CounterOutcome, type CounterSink, type CounterWrite, type CounterWriter, isAmount } from '../topology/types.ts';
import type { StepHook } from './memory-totals.ts';
import { isBehind } from './totals.ts';

interface Fence {
  epoch: number;
  version: number;
}

/** One key: its fields with `epoch` and `version` among them, as Redis would hold them. */
export interface StoredCounter {
  fields: Readonly<Record<string, string>>;
  /** As given by the last write that counted; nothing expires here by itself. */
  expiryMs: number | null;
}

const fenceOf = (stored: StoredCounter | undefined): Fence | null =>
  stored ? { epoch: Number(stored.fields['epoch']), version: Number(stored.fields['version']) } : null;

/** As decimal text, like the Lua script: by length, then by digits. What is stored and no decimal gives way. */
const larger = (stored: string | undefined, value: string): string => {
  if (stored === undefined || !/^[0-9]+$/.test(stored) || stored.length < value.length) return value;
  return stored.length > value.length || stored > value ? stored : value;
};

/** What survives the crash of a writer: share one between the sinks of a simulation. */
export class MemoryCounterStore {
  readonly #nowMs: () => number;
  #held = new Map<string, StoredCounter>();

  /** @param nowMs the store's own time, epoch ms */
  constructor(nowMs: () => number = () => 0) {
    this.#nowMs = nowMs;
  }

  get timeMs(): number {
    return this.#nowMs();
  }

  get(key: string): StoredCounter | null {
    return this.#held.get(key) ?? null;
  }

  keys(): string[] {
    return [...this.#held.keys()];
  }

  wipe(): void {
    this.#held.clear();
  }

  /** A copy that later writes leave alone, for `restore`: an old dump that comes back. */
  dump(): ReadonlyMap<string, StoredCounter> {
    return new Map(this.#held);
  }

  restore(dump: ReadonlyMap<string, StoredCounter>): void {
    this.#held = new Map(dump);
  }

  /** Puts one key in place with no fence: one stale key of an old dump. */
  plant(key: string, stored: StoredCounter): void {
    this.#held.set(key, stored);
  }

  /** The higher fence that refuses it, or null when it was written. */
  compareAndSet({ epoch, version }: Fence, write: CounterWrite): Fence | null {
    const before = this.#held.get(write.key);
    const stored = fenceOf(before);
    if (stored && isBehind({ epoch, version }, stored)) return stored;
    if (before === undefined && write.onlyExisting) return null;
    const held = new Map(Object.entries(before?.fields ?? {}));
    for (const [field, value] of Object.entries(write.fields)) {
      held.set(field, write.keepLarger && isAmount(field) ? larger(held.get(field), value) : value);
    }
    if (write.stamped) held.set('updated_ms', String(this.timeMs));
    const fields = Object.fromEntries(held);
    this.#held.set(write.key, { fields: { ...fields, epoch: String(epoch), version: String(version) }, expiryMs: write.expiryMs });
    return null;
  }

  /** `lost` when it is missing or behind `expected`; else what it holds afterwards. */
  moveMarker(key: string, { epoch, version }: Fence, expected: Fence | null): Fence | 'lost' {
    const stored = fenceOf(this.#held.get(key));
    if (expected && (!stored || isBehind(stored, expected))) return 'lost';
    if (stored && isBehind({ epoch, version }, stored)) return stored;
    this.#held.set(key, { fields: { epoch: String(epoch), version: String(version) }, expiryMs: null });
    return { epoch, version };
  }
}

const keptOf = ({ key, fields }: CounterWrite, stored: StoredCounter | null, kept: CounterOutcome['kept']): void => {
  const amount = stored?.fields['spend_micros'];
  if (amount !== undefined && amount !== fields['spend_micros']) kept.push({ key, spendMicros: Number(amount) });
};

export interface MemoryCountersOptions {
  store?: MemoryCounterStore;
  /** Called as `counters.keys.before|after` for every `keysPerStep` keys, and as `counters.marker.before|after`. */
  step?: StepHook;
  /** As many as one script of the real thing writes: what a crash can tear apart. */
  keysPerStep?: number;
}

/** Counters in memory with the promises of the real ones, for demo, replay and the simulation. */
export class MemoryCounters implements CounterSink {
  readonly store: MemoryCounterStore;
  readonly #step: StepHook | undefined;
  readonly #keysPerStep: number;
  readonly #markers = new Map<number, Fence>();

  constructor(options: MemoryCountersOptions = {}) {
    this.store = options.store ?? new MemoryCounterStore();
    this.#step = options.step;
    this.#keysPerStep = options.keysPerStep ?? 50;
  }

  /** As Redis would hold it, or null. */
  get(key: string): Readonly<Record<string, string>> | null {
    return this.store.get(key)?.fields ?? null;
  }

  async write(writer: CounterWriter, writes: readonly CounterWrite[]): Promise<CounterOutcome> {
    const refused: CounterOutcome['refused'] = [];
    const kept: CounterOutcome['kept'] = [];
    for (let from = 0; from < writes.length; from += this.#keysPerStep) {
      await this.#step?.('counters.keys.before');
      for (const write of writes.slice(from, from + this.#keysPerStep)) {
        const higher = this.store.compareAndSet(writer, write);
        if (higher) refused.push({ key: write.key, ...higher });
        else if (write.keepLarger) keptOf(write, this.store.get(write.key), kept);
      }
      await this.#step?.('counters.keys.after');
    }
    await this.#step?.('counters.marker.before');
    const { stored, dataLost } = this.#moveMarker(writer);
    await this.#step?.('counters.marker.after');
    this.#markers.set(writer.partition, stored);
    if (isBehind(writer, stored)) refused.push({ key: `marker:{${writer.partition}}`, ...stored });
    return { refused, dataLost, kept, timeMs: this.store.timeMs };
  }

  async close(): Promise<void> {}

  #moveMarker(writer: CounterWriter): { stored: Fence; dataLost: boolean } {
    const key = `marker:{${writer.partition}}`;
    const expected = this.#markers.get(writer.partition) ?? (writer.version > 0 ? { epoch: 0, version: 0 } : null);
    const moved = this.store.moveMarker(key, writer, expected);
    if (moved !== 'lost') return { stored: moved, dataLost: false };
    const anew = this.store.moveMarker(key, writer, null);
    return { stored: anew === 'lost' ? writer : anew, dataLost: true };
  }
}

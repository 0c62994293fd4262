import type { Logger } from 'pino';
import { asError, StreamError } from '../errors.ts';
import { slotOf } from '../gate/redis-slot.ts';
import type { Clock, CounterOutcome, CounterSink, CounterWrite, CounterWriter } from '../topology/types.ts';
import { openRedis, type RedisClient } from './redis-client.ts';
import { runsOf } from './redis-runs.ts';
import { COMPARE_AND_SET, MOVE_MARKER, type Script } from './redis-scripts.ts';

/** A script holds Redis for less than half a ms where hashes are small, and there is always a next one: a key costs Redis 3.6 µs so, and this process 2. */
const KEYS_PER_SCRIPT = 100;
const SCRIPTS_IN_FLIGHT = 20;
const BACKOFF_MAX_MS = 500;
const LOG_EVERY_MS = 10_000;
const NOT_YET = 'not connected yet';

export interface RedisCountersOptions {
  /** `redis:` or `rediss:`; a comma list is a cluster. */
  url: string;
  /** Put before every key. */
  keyPrefix: string;
  clock: Clock;
  log: Pick<Logger, 'info' | 'warn'>;
}

interface Fence {
  epoch: number;
  version: number;
}

type Refusal = CounterOutcome['refused'][number];

interface Answers {
  refused: Refusal[];
  kept: CounterOutcome['kept'];
  /** Keys that hold something else, and what. */
  foreign: string[];
}

/**
 * Counters in Redis. A write is tried until it succeeds or `close` is called: counters stand still meanwhile, and so does
 * what waits for them. Trying again is harmless because every key is fenced by (epoch, version).
 *
 * Loss of data is noticed by the marker `marker:{<partition>}`, moved on after the counters of each call: it is missing
 * or behind what this object saw there last. A new object has seen nothing, yet expects some marker once there has been
 * anything to count: better to rewrite a new Redis once than to trust an empty one. In a cluster the marker speaks for
 * the node it is on; what another node loses is healed by the rewrite of every live key within a minute.
 */
export class RedisCounters implements CounterSink {
  readonly #client: RedisClient;
  readonly #clustered: boolean;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  readonly #closing = new AbortController();
  readonly #markers = new Map<number, Fence>();
  #connected = false;
  #connectionError: string | null = NOT_YET;
  #failure: { reason: string; sinceMs: number; loggedMs: number | null } | null = null;

  constructor(options: RedisCountersOptions) {
    this.#prefix = options.keyPrefix;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#clustered = options.url.includes(',');
    this.#client = openRedis(options.url);
    this.#client.on('ready', () => {
      this.#connected = true;
      this.#connectionError = null;
    });
    this.#client.on('close', () => {
      this.#connected = false;
      this.#connectionError ??= 'the connection was closed';
    });
    // Only the text: the error object of a refused AUTH holds the password.
    this.#client.on('error', (error: Error) => {
      this.#connectionError = error.message || (error as NodeJS.ErrnoException).code || error.name;
    });
  }

  /** Connected, and the last write went through. */
  get healthy(): boolean {
    return this.#connected && this.#failure === null;
  }

  /** Why not healthy, in words; holds no secret. */
  get lastError(): string | null {
    return this.#failure?.reason ?? (this.#connected ? null : this.#connectionError);
  }

  async write(writer: CounterWriter, writes: readonly CounterWrite[]): Promise<CounterOutcome> {
    const lost = { data: false };
    for (let attempt = 0; ; attempt += 1) {
      if (this.#closing.signal.aborted) throw new StreamError('redis_unreachable', 'The counters were closed while a write was waiting.');
      try {
        const written = await this.#attempt(writer, writes, lost);
        this.#succeeded();
        return { ...written, dataLost: lost.data };
      } catch (error) {
        if (error instanceof TypeError || error instanceof RangeError) throw error;
        this.#failed(asError(error));
      }
      await this.#clock.sleep(Math.min(20 * 2 ** Math.min(attempt, 10), BACKOFF_MAX_MS), this.#closing.signal);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#client.disconnect();
  }

  async #attempt(
    writer: CounterWriter,
    writes: readonly CounterWrite[],
    lost: { data: boolean },
  ): Promise<Omit<CounterOutcome, 'dataLost'>> {
    const all: Answers = { refused: [], kept: [], foreign: [] };
    const scripts = this.#batches(writes);
    // Each lane sends its next script when its last is answered, so that Redis always has some to do.
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < scripts.length) {
        const { refused, kept, foreign } = await this.#set(writer, scripts[next++]);
        all.refused.push(...refused);
        all.kept.push(...kept);
        all.foreign.push(...foreign);
      }
    };
    const stopping = (error: unknown): never => {
      next = scripts.length;
      throw error;
    };
    await allSettled(Array.from({ length: SCRIPTS_IN_FLIGHT }, () => lane().catch(stopping)));
    const [first] = all.foreign;
    if (first !== undefined)
      throw new Error(
        `${all.foreign.length} of our keys hold something else, first ${first}: delete or rename them, or set REDIS_KEY_PREFIX`,
      );
    const { refused, timeMs } = await this.#moveMarker(writer, lost);
    return { refused: [...all.refused, ...refused], kept: all.kept, timeMs };
  }

  /** In a cluster a script may touch one slot only. */
  #batches(writes: readonly CounterWrite[]): CounterWrite[][] {
    const groups = this.#clustered ? [...this.#bySlot(writes).values()] : [writes];
    return groups.flatMap((group) => {
      const batches: CounterWrite[][] = [];
      for (let from = 0; from < group.length; from += KEYS_PER_SCRIPT) batches.push(group.slice(from, from + KEYS_PER_SCRIPT));
      return batches;
    });
  }

  #bySlot(writes: readonly CounterWrite[]): Map<number, CounterWrite[]> {
    const groups = new Map<number, CounterWrite[]>();
    for (const write of writes) {
      const slot = slotOf(this.#prefix + write.key);
      const group = groups.get(slot);
      if (group) group.push(write);
      else groups.set(slot, [write]);
    }
    return groups;
  }

  async #set(writer: CounterWriter, batch: readonly CounterWrite[]): Promise<Answers> {
    const keys = batch.map(({ key }) => this.#prefix + key);
    const answer = await this.#run(COMPARE_AND_SET, keys, [String(writer.epoch), String(writer.version), ...runsOf(batch)]);
    const answers: Answers = { refused: [], kept: [], foreign: [] };
    for (let at = 0; at < answer.length; at += 3) {
      const { key } = batch[Number(answer[at]) - 1];
      const [what, more] = [answer[at + 1], answer[at + 2]];
      if (what === 'foreign') answers.foreign.push(`${this.#prefix}${key} (${more})`);
      else if (what === 'kept') answers.kept.push({ key, spendMicros: Number(more) });
      else answers.refused.push({ key, epoch: Number(what), version: Number(more) });
    }
    return answers;
  }

  /** Last, so that a dump which holds the marker holds the counters before it; after a loss it is set anew. */
  async #moveMarker(writer: CounterWriter, lost: { data: boolean }): Promise<{ refused: Refusal[]; timeMs: number }> {
    const key = `marker:{${writer.partition}}`;
    const expected = this.#markers.get(writer.partition) ?? (writer.version > 0 ? { epoch: 0, version: 0 } : { epoch: -1, version: -1 });
    const move = ({ epoch, version }: Fence): Promise<string[]> =>
      this.#run(MOVE_MARKER, [this.#prefix + key], [writer.epoch, writer.version, epoch, version].map(String));
    let answer = await move(expected);
    if (answer[0] === 'lost') {
      lost.data = true;
      answer = await move({ epoch: -1, version: -1 });
    }
    const [epoch, version, seconds, micros] = answer.map(Number);
    const stored = { epoch, version };
    this.#markers.set(writer.partition, stored);
    const isOurs = epoch === writer.epoch && version === writer.version;
    return { refused: isOurs ? [] : [{ key, ...stored }], timeMs: seconds * 1000 + Math.floor(micros / 1000) };
  }

  async #run(script: Script, keys: readonly string[], args: readonly string[]): Promise<string[]> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return (await this.#client.call('evalsha', [script.sha, ...rest])) as string[];
    } catch (error) {
      if (!asError(error).message.startsWith('NOSCRIPT')) throw error;
      return (await this.#client.call('eval', [script.lua, ...rest])) as string[];
    }
  }

  #failed(error: Error): void {
    const { monotonicMs } = this.#clock.now();
    const reason = (this.#connected ? null : this.#connectionError) ?? error.message;
    const before = this.#failure;
    const loggedMs = before?.loggedMs ?? null;
    const due = reason !== NOT_YET && (before?.reason !== reason || loggedMs === null || monotonicMs - loggedMs >= LOG_EVERY_MS);
    this.#failure = { reason, sinceMs: before?.sinceMs ?? monotonicMs, loggedMs: due ? monotonicMs : loggedMs };
    if (due) this.#log.warn({ code: 'redis_unreachable', reason }, 'Redis takes no counters; trying again');
  }

  #succeeded(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (!failure || failure.loggedMs === null) return;
    this.#log.info({ outageMs: Math.round(this.#clock.now().monotonicMs - failure.sinceMs) }, 'Redis takes counters again');
  }
}

/** Like Promise.all, but waits for all: nothing of a failed attempt may still be under way in the next one. */
const allSettled = async <Value>(promises: readonly Promise<Value>[]): Promise<Value[]> => {
  const settled = await Promise.allSettled(promises);
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
};

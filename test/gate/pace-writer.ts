/** Writes `pace:` keys into a real Redis, as evaluate does: versions that grow, Redis TIME taken in the script. */
import { Redis } from 'ioredis';
import { type PaceHash, paceHash } from './pace-key.ts';

/**
 * KEYS     hashes
 * ARGV     how far counted_until_ms is behind Redis TIME, or at which time it stands still, then field, value, …
 */
const WRITE = `
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local ms = function(value) return string.format('%.0f', value) end
for _, key in ipairs(KEYS) do
  redis.call('HSET', key, 'day_start_ms', ms(nowMs - 43200000), 'day_end_ms', ms(nowMs + 43200000), unpack(ARGV, 3))
  redis.call('HSET', key, 'updated_ms', ms(nowMs), 'counted_until_ms', ARGV[2] ~= '' and ARGV[2] or ms(nowMs - ARGV[1]))
  redis.call('HINCRBY', key, 'version', 1)
end
`;
const KEYS_PER_SCRIPT = 1000;
const EVERY_MS = 250;

/** All but times and version, which the script sets. */
const { version: _, updated_ms, counted_until_ms, day_start_ms, day_end_ms, ...CONSTANT } = paceHash();

export class PaceWriter {
  readonly client: Redis;
  /** counted_until_ms is so far behind Redis TIME; negative where Kafka's clock is ahead. */
  behindMs = 50;
  /** Where counted_until_ms stands still; null: it moves on. */
  countedUntilMs: number | null = null;
  fields: PaceHash = CONSTANT;
  readonly keys: readonly string[];
  #timer: NodeJS.Timeout | undefined;

  constructor(url: string, keys: readonly string[]) {
    this.client = new Redis(url);
    this.client.on('error', () => undefined);
    this.keys = keys;
  }

  async write(changes: PaceHash = {}): Promise<void> {
    const args = Object.entries({ ...this.fields, ...changes }).flat();
    for (let from = 0; from < this.keys.length; from += KEYS_PER_SCRIPT) {
      const keys = this.keys.slice(from, from + KEYS_PER_SCRIPT);
      await this.client.eval(WRITE, keys.length, ...keys, this.behindMs, this.countedUntilMs ?? '', ...args);
    }
  }

  /** Writes now, and then on and on. */
  async start(everyMs = EVERY_MS): Promise<void> {
    await this.write();
    this.#timer = setInterval(() => void this.write().catch(() => undefined), everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  close(): void {
    this.stop();
    this.client.disconnect();
  }
}

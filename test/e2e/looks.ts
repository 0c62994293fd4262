/** Looks at the counters in Redis while they grow: never above the truth, never back. */
import { Redis } from 'ioredis';
import { type Amounts, differences } from './truth.ts';

const DAY_S = 86_400;
const EXPIRY_DAYS: Record<string, number> = { spend: 8, exposed: 90 };
const COUNTED = new Set(['spend_micros', 'impressions', 'contaminated']);
const isCounted = (field: string): boolean => COUNTED.has(field) || field.startsWith('units:');

export class Looks {
  /** What was seen that must not be: above the truth, gone back, malformed. */
  readonly faults = new Set<string>();
  count = 0;
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #truth: Amounts;
  #before: Amounts = new Map();
  /** Looks that began earlier prove nothing about what goes back. */
  #forgotten = 0;

  constructor(url: string, prefix: string, truth: Amounts) {
    this.#redis = new Redis(url, { retryStrategy: () => 100, maxRetriesPerRequest: null });
    this.#redis.on('error', () => undefined);
    this.#prefix = prefix;
    this.#truth = truth;
  }

  async look(): Promise<Amounts> {
    const began = this.#forgotten;
    const now = await this.#read();
    if (began !== this.#forgotten) return now;
    this.count++;
    for (const [name, amount] of now) {
      const truth = this.#truth.get(name) ?? 0;
      if (amount > truth) this.faults.add(`above the truth: ${name.replace('\n', ' ')}, at some moment ${amount} instead of ${truth}`);
    }
    for (const [name, amount] of this.#before) {
      if ((now.get(name) ?? 0) < amount) this.faults.add(`went back: ${name.replace('\n', ' ')}, from ${amount} to ${now.get(name)}`);
    }
    this.#before = now;
    return now;
  }

  /** Redis is about to lose everything, or has. */
  forget(): void {
    this.#forgotten++;
    this.#before = new Map();
  }

  async wrong(): Promise<string[]> {
    return differences('Redis', await this.look(), this.#truth);
  }

  /** Keys that do not expire so many days after their last write, which was within the last hour. */
  async wrongExpiry(): Promise<string[]> {
    const lines: string[] = [];
    for (const key of await this.#keys()) {
      const wantedS = EXPIRY_DAYS[key.slice(0, key.indexOf(':'))] * DAY_S;
      const seconds = await this.#redis.ttl(this.#prefix + key);
      if (seconds > wantedS || seconds < wantedS - 3600) lines.push(`${key} expires in ${seconds} s, not in ${wantedS} s`);
    }
    return lines;
  }

  close(): void {
    this.#redis.disconnect();
  }

  async #keys(): Promise<string[]> {
    const keys = new Set<string>();
    let cursor = '0';
    do {
      const [next, found] = await this.#redis.scan(cursor, 'MATCH', `${this.#prefix}*`, 'COUNT', 1000);
      for (const key of found) keys.add(key.slice(this.#prefix.length));
      cursor = next;
    } while (cursor !== '0');
    return [...keys].filter((key) => key.startsWith('spend:') || key.startsWith('exposed:'));
  }

  async #read(): Promise<Amounts> {
    const keys = await this.#keys();
    const answers = await Promise.all(keys.map((key) => this.#redis.hgetall(this.#prefix + key)));
    const amounts: Amounts = new Map();
    keys.forEach((key, i) => {
      const fields = answers[i];
      if (Object.keys(fields).length === 0) return; // gone since it was listed
      for (const needed of ['epoch', 'version', 'watermark_ms']) {
        if (!/^-?\d+$/.test(fields[needed] ?? '')) this.faults.add(`malformed: ${key} has ${needed} ${fields[needed]}`);
      }
      for (const [field, value] of Object.entries(fields)) if (isCounted(field)) amounts.set(`${key}\n${field}`, Number(value));
    });
    return amounts;
  }
}

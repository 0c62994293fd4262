/** Probes: campaigns of which one impression is enough, and how long after it the bidder can see that they are stopped. */
import { Redis } from 'ioredis';
import { openGate, type PacingGate } from '../src/gate/index.ts';

export const PROBE_CAP = 1_000_000;

export interface Probe {
  id: string;
  policy: 'graceful' | 'strict';
  /** Monotonic ms; null until then. */
  sentMs: number | null;
  /** `stopped` in Redis, and from the gate. */
  seenMs: number | null;
  gateMs: number | null;
}

export const makeProbes = (count: number): Probe[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `probe ${i}`,
    policy: i % 2 === 0 ? 'graceful' : 'strict',
    sentMs: null,
    seenMs: null,
    gateMs: null,
  }));

/** One impression of this reaches the cap, or what `strict` makes of it. */
export const probeMicros = ({ policy }: Probe): number => (policy === 'strict' ? (PROBE_CAP * 95) / 100 : PROBE_CAP);

/** Looks every few ms at all that were sent and are not yet seen stopped. */
export class Watch {
  readonly #redis: Redis;
  readonly #gate: PacingGate;
  readonly #prefix: string;

  constructor(url: string, prefix: string, refreshMs: number) {
    this.#redis = new Redis(url);
    this.#gate = openGate({ redis: url, keyPrefix: prefix, refreshMs });
    this.#prefix = prefix;
  }

  /** Until each of them is told of. */
  async known(probes: readonly Probe[], withinMs: number): Promise<boolean> {
    const { monotonic } = this;
    for (const untilMs = monotonic() + withinMs; monotonic() < untilMs; await sleep(200)) {
      const states = await this.#states(probes);
      if (states.every((state) => state === 'open')) return this.#gate.preload(probes.map(({ id }) => id));
    }
    return false;
  }

  async look(probes: readonly Probe[]): Promise<void> {
    const open = probes.filter(({ sentMs, seenMs, gateMs }) => sentMs !== null && (seenMs === null || gateMs === null));
    if (open.length === 0) return;
    const states = await this.#states(open);
    const nowMs = this.monotonic();
    open.forEach((probe, i) => {
      if (states[i] === 'stopped') probe.seenMs ??= nowMs;
      if (this.#gate.check(probe.id).state === 'stopped') probe.gateMs ??= nowMs;
    });
  }

  /** As a bidder that is interested in them all. */
  keepWarm(probes: readonly Probe[]): void {
    for (const { id } of probes) this.#gate.check(id);
  }

  monotonic = (): number => performance.now();

  close(): void {
    this.#gate.close();
    this.#redis.disconnect();
  }

  async #states(probes: readonly Probe[]): Promise<(string | null)[]> {
    const pipeline = this.#redis.pipeline();
    for (const { id } of probes) pipeline.hget(`${this.#prefix}pace:{${id}}`, 'state');
    return ((await pipeline.exec()) ?? []).map(([, state]) => state as string | null);
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const at = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** `p50, p99, max` of a time after sending; how many were never seen. */
export function told(probes: readonly Probe[], of: 'seenMs' | 'gateMs'): { text: string; p99Ms: number; maxMs: number } {
  const times = probes.flatMap((probe) => (probe[of] === null || probe.sentMs === null ? [] : [probe[of] - probe.sentMs]));
  const sorted = times.sort((a, b) => a - b);
  const missing = probes.length - times.length;
  const maxMs = missing > 0 ? Number.POSITIVE_INFINITY : at(sorted, 1);
  const text = `${probes.length} probes: p50 ${seconds(at(sorted, 0.5))}, p99 ${seconds(at(sorted, 0.99))}, max ${seconds(at(sorted, 1))}`;
  return { text: missing > 0 ? `${text}, ${missing} never` : text, p99Ms: at(sorted, 0.99), maxMs };
}

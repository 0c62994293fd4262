/** Small seeded traffic in which every rule is hit: each source partition on its own, in the order of its offsets. */
import { STREAMS, type Stream } from '../../src/topology/types.ts';
import type { Plan } from './plan.ts';
import type { Random } from './random.ts';

export interface SimRecord {
  stream: Stream;
  partition: number;
  offset: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
  /** NaN: none. */
  timestampMs: number;
  /** Virtual ms at which it is produced. */
  atMs: number;
}

/** A slot of a partition: a record, or null for a control record. */
export type Slot = SimRecord | null;

/** By `topic/partition`. */
export type Traffic = ReadonlyMap<string, readonly Slot[]>;

const CAMPAIGNS = ['c1', 'c2', 'c-3', '__proto__', '{}: x', 'ünïcode'] as const;
const EXPERIMENTS = ['e1', 'e2', 'constructor'] as const;
const VARIANTS = ['a', 'b', '__proto__'] as const;
const SURFACES = ['home', 'feed'] as const;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MIDNIGHT_MS = 1_767_225_600_000;
/** The day ends in the midst of the traffic where the zone is UTC. */
export const LIVE_START_MS = MIDNIGHT_MS - 3000;

/** Zones of the campaigns at the start; the others are not registered. */
export const ZONES: Readonly<Record<string, string>> = {
  c1: 'UTC',
  c2: 'America/New_York',
  'c-3': 'Asia/Kathmandu',
  ['__proto__']: 'Pacific/Kiritimati',
};

type Event = Record<string, unknown> & { event_id: string; event_ts: number };

const utf8 = new TextEncoder();

class PartitionTraffic {
  readonly #random: Random;
  readonly #plan: Plan;
  readonly #stream: Stream;
  readonly #partition: number;
  readonly #events: Event[] = [];
  readonly #startMs: number;
  #clockMs: number;
  #ids = 0;

  constructor(random: Random, plan: Plan, place: { stream: Stream; partition: number; startMs: number }) {
    this.#random = random;
    this.#plan = plan;
    this.#stream = place.stream;
    this.#partition = place.partition;
    this.#startMs = place.startMs;
    this.#clockMs = place.startMs;
  }

  slots(count: number): Slot[] {
    const random = this.#random;
    const { produceMs } = this.#plan;
    const fromMs = !this.#plan.forgets && random.chance(0.2) ? random.int(0, produceMs) : 0;
    const untilMs = random.chance(0.2) ? random.int(fromMs, produceMs) : produceMs;
    const slots: Slot[] = [];
    for (let i = 0; slots.length < count; i++) {
      const atMs = fromMs + ((untilMs - fromMs) * i) / count;
      if (random.chance(0.03)) for (let gap = random.int(1, 3); gap > 0; gap--) slots.push(null);
      slots.push(this.#record(slots.length, atMs));
    }
    return slots;
  }

  #record(offset: number, atMs: number): SimRecord {
    const random = this.#random;
    this.#advance();
    if (this.#plan.live) this.#clockMs = this.#startMs + atMs;
    const event = this.#event();
    const { maxFutureSkewMs } = this.#plan.settings.time;
    let timestampMs = this.#plan.live ? this.#clockMs : Math.max(0, event.event_ts + random.int(-1000, 1000));
    const odd = this.#plan.live ? 1 : random.next();
    if (odd < 0.02) timestampMs = Number.NaN;
    else if (odd < 0.04) timestampMs = Math.max(0, event.event_ts - maxFutureSkewMs - random.int(-1, 1));
    const broken = random.chance(0.03);
    const value = broken ? random.pick(BROKEN)(event) : utf8.encode(JSON.stringify(event));
    const key = random.chance(0.02) ? null : utf8.encode(String(event['campaign_id'] ?? event['unit_id']));
    return { stream: this.#stream, partition: this.#partition, offset, key, value, timestampMs, atMs };
  }

  /** Mostly in small steps, sometimes past lateness, TTL, hours or days. */
  #advance(): void {
    const random = this.#random;
    const { windowMs, allowedLatenessMs, dedupTtlMs } = this.#plan.settings.time;
    if (random.chance(0.03)) this.#clockMs += random.pick([allowedLatenessMs, dedupTtlMs, HOUR_MS / 4, HOUR_MS, 9 * HOUR_MS, 2 * DAY_MS]);
    else if (this.#plan.forgets && this.#events.length > 10 && random.chance(0.02)) this.#clockMs += 5 * DAY_MS;
    else this.#clockMs += random.int(0, Math.ceil(windowMs / 2));
  }

  #event(): Event {
    const random = this.#random;
    const known = this.#events;
    if (known.length > 0 && random.chance(0.12)) return this.#again(known);
    const event = this.#fresh();
    known.push(event);
    return event;
  }

  /** A duplicate, near or far; or the same with another id or another content. */
  #again(known: readonly Event[]): Event {
    const random = this.#random;
    const near = known.slice(-5);
    const before = random.chance(0.5) ? random.pick(near) : random.pick(known);
    if (random.chance(0.7)) return before;
    if (random.chance(0.6)) return { ...before, event_id: this.#id() };
    return { ...this.#fresh(), event_id: before.event_id };
  }

  #id(): string {
    return `${this.#stream}-${this.#partition}-${this.#ids++}`;
  }

  #eventTs(): number {
    const random = this.#random;
    const { windowMs, maxOutOfOrdernessMs, allowedLatenessMs, dedupTtlMs } = this.#plan.settings.time;
    const back = random.chance(0.1) ? random.pick([allowedLatenessMs + windowMs, dedupTtlMs, dedupTtlMs * 2]) : maxOutOfOrdernessMs;
    return Math.max(0, this.#clockMs - random.int(0, back));
  }

  #fresh(): Event {
    const random = this.#random;
    const base = { event_id: this.#id(), event_ts: this.#eventTs() };
    if (this.#stream === 'impressions') {
      const more: Record<string, unknown> = {};
      if (random.chance(0.6)) more['user_id'] = `u${random.int(1, 4)}`;
      if (random.chance(0.5)) more['surface'] = random.pick(SURFACES);
      if (random.chance(0.1)) more['is_valid'] = random.chance(0.3);
      return { ...base, campaign_id: random.pick(CAMPAIGNS), spend_micros: random.int(0, 5000), ...more };
    }
    const version = random.chance(0.5) ? {} : { allocation_version: random.int(1, 2) };
    const unit = { experiment_id: random.pick(EXPERIMENTS), variant_id: random.pick(VARIANTS), unit_id: `u${random.int(1, 25)}` };
    // More values than are told apart; drawn from the unit, so that other things stay as they were.
    const attributes = { country: `c${unit.unit_id.length}${unit.unit_id.at(-1)}`, sdk_version: unit.unit_id.length };
    return { ...base, ...unit, ...version, attributes };
  }
}

const BROKEN: readonly ((event: Event) => Uint8Array | null)[] = [
  () => null,
  () => utf8.encode('{'),
  () => new Uint8Array([0, 0, 0, 0, 1, 123, 125]),
  () => new Uint8Array([0x7b, 0xff, 0x7d]),
  () => utf8.encode('[]'),
  (event) => utf8.encode(JSON.stringify({ ...event, event_id: undefined })),
  (event) => utf8.encode(JSON.stringify({ ...event, event_ts: -1 })),
  (event) => utf8.encode(JSON.stringify({ ...event, event_id: 'x'.repeat(257) })),
  (event) => utf8.encode(JSON.stringify({ ...event, spend_micros: 1.5, allocation_version: 0, event_ts: 'soon' })),
];

export function trafficOf(random: Random, plan: Plan): Traffic {
  const names = STREAMS.flatMap((stream) => Array.from({ length: plan.partitions[stream] }, (_, partition) => ({ stream, partition })));
  const startMs = plan.live ? LIVE_START_MS : random.pick([0, MIDNIGHT_MS - 60_000, MIDNIGHT_MS + random.int(0, DAY_MS)]);
  const traffic = new Map<string, Slot[]>();
  for (const place of names) {
    const own = new PartitionTraffic(random.fork(), plan, {
      ...place,
      startMs: plan.live ? startMs : startMs + random.pick([0, 0, HOUR_MS]),
    });
    const silent = !plan.forgets && random.chance(0.08);
    traffic.set(`${place.stream}/${place.partition}`, silent ? [] : own.slots(Math.ceil(plan.records / names.length)));
  }
  return traffic;
}

/** What stories of the reconciler stand on: a stream, a truth, and a log that takes the adjustments; in memory or in Postgres. */

import type { Booking } from '../../reconcile/memory-ledger.ts';
import { type ReconcileOptions, Reconciler, type ReconcilerParts, type RunReport, type RunRequest } from '../../reconcile/run.ts';
import type { ReconcileStore } from '../../reconcile/store.ts';
import type { Amounts, SourcePosition } from '../../reconcile/types.ts';
import { FILE_SCHEMA } from '../../src/config.ts';
import { type CampaignRow, campaignForever, StaticRegistry } from '../../src/sinks/registry.ts';
import type { HourlyRow } from '../../src/sinks/totals.ts';
import { ByteReader } from '../../src/state/bytes.ts';
import { type Adjustment, readAdjustments } from '../../src/topology/adjustments.ts';
import type { LogWriter, OutRecord } from '../../src/topology/types.ts';
import { HandClock } from '../topology/hand-clock.ts';

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
/** 10:00 UTC of a day; the hour before it is the last that is compared. */
export const UNTIL = Date.UTC(2026, 2, 10, 10);
export const PARTIALS = 'exposure-stream.partials';

/** What a store under test must be able to do for its stories. */
export interface StoreBed {
  open(): ReconcileStore;
  /** The stream's hours, and how far its only source partition of each input is. */
  stream(rows: readonly HourlyRow[], positions: readonly SourcePosition[]): Promise<void>;
  /** Booked so long ago: what a transaction that lasts so long books, is seen when it ends. */
  book(bookings: readonly Omit<Booking, 'bookedAtMs'>[], agoMs?: number): Promise<void>;
  complete(untilMs: number): Promise<void>;
  /** What the views show of spend, by JSON of [campaign, hour]. */
  shown(): Promise<Map<string, Amounts>>;
  statusOf(runId: string): Promise<string | null>;
  close(): Promise<void>;
}

const { reconcile, time } = FILE_SCHEMA.parse({});
export const OPTIONS: ReconcileOptions = {
  tolerance: { ratio: reconcile.toleranceRatio, floorMicros: reconcile.floorMicros, floorCount: reconcile.floorCount },
  explainedShare: reconcile.explainedShare,
  hold: { campaignShare: reconcile.holdCampaignShare, micros: reconcile.holdMicros, floorMicros: reconcile.holdFloorMicros },
  lockDays: reconcile.lockDays,
  allowedLatenessMs: time.allowedLatenessMs,
  alertDriftRatio: reconcile.alertDriftRatio,
  alertBackfillRatio: reconcile.alertBackfillRatio,
  shadowMs: reconcile.shadowDays * DAY,
  staleHours: reconcile.staleHours,
  alwaysShadow: [],
  waitMs: 0,
};

export const NO_AMOUNTS = {
  spendMicros: 0,
  impressions: 0,
  units: 0,
  lateRecords: 0,
  lateMicros: 0,
  duplicateRecords: 0,
  duplicateMicros: 0,
  suspectedRecords: 0,
  suspectedMicros: 0,
  invalidTrafficRecords: 0,
  invalidTrafficMicros: 0,
};

export const counted = (entityId: string, hourMs: number, more: Partial<HourlyRow>): HourlyRow => ({
  ...NO_AMOUNTS,
  kind: 'spend',
  entityId,
  allocationVersion: 0,
  variantId: '',
  hourMs,
  ...more,
});

export const exposed = (entityId: string, variantId: string, hourMs: number, more: Partial<HourlyRow>): HourlyRow => ({
  ...counted(entityId, hourMs, more),
  kind: 'exposure',
  allocationVersion: 1,
  variantId,
});

export const booked = (entityId: string, hourMs: number, amount: number, count: number): Omit<Booking, 'bookedAtMs'> => ({
  kind: 'spend',
  entityId,
  allocationVersion: 0,
  variantId: '',
  hourMs,
  amount,
  count,
});

export const at = (topic: string, watermarkMs: number | null, more: Partial<SourcePosition> = {}): SourcePosition => ({
  partialsPartition: 0,
  topic,
  partition: 0,
  origin: 0,
  position: 100,
  watermarkMs,
  idle: false,
  ...more,
});

export const CLOSED = [at('impressions', UNTIL + DAY), at('exposures', UNTIL + DAY)];

/** Sum of impressions at a price of 50,000 micros each: what most hours of a story are. */
export const PRICE = 50_000;
export const CAMPAIGNS = Array.from({ length: 40 }, (_, i) => `c${String(i).padStart(2, '0')}`);

export class SentAdjustments implements LogWriter {
  readonly records: OutRecord[] = [];

  async send(records: readonly OutRecord[]): Promise<void> {
    this.records.push(...records);
  }

  async close(): Promise<void> {}

  /** All of them, in order. */
  get adjustments(): Adjustment[] {
    const found: Adjustment[] = [];
    for (const { value } of this.records) readAdjustments(new ByteReader(value as Uint8Array), (one) => found.push(one) > 0);
    return found;
  }

  /** What evaluate ends with: of each hour the highest cut. */
  standing(): Map<string, number> {
    const held = new Map<string, Adjustment>();
    for (const one of this.adjustments) {
      const key = JSON.stringify([one.campaignId, one.hourMs]);
      const before = held.get(key);
      if (!before || before.untilMs < one.untilMs || (before.untilMs === one.untilMs && before.bookedBeforeMs <= one.bookedBeforeMs))
        held.set(key, one);
    }
    return new Map([...held].map(([key, { spendMicros }]) => [key, spendMicros]));
  }
}

/** A story: hours that agree, then what the story makes of them. */
export class ReconcileStory {
  readonly bed: StoreBed;
  readonly log = new SentAdjustments();
  readonly campaigns: readonly CampaignRow[];

  constructor(bed: StoreBed, zone = 'UTC') {
    this.bed = bed;
    this.campaigns = CAMPAIGNS.map((id) => campaignForever(id, zone));
  }

  /** 100 impressions an hour and campaign, in both; everything closed and complete. `ours` and `theirs` replace or add hours. */
  async begin({
    hours = 24,
    ours = [],
    theirs = [],
  }: {
    hours?: number;
    ours?: HourlyRow[];
    theirs?: Omit<Booking, 'bookedAtMs'>[];
  } = {}): Promise<void> {
    const rows = new Map<string, HourlyRow>();
    const bookings = new Map<string, Omit<Booking, 'bookedAtMs'>>();
    for (const id of CAMPAIGNS)
      for (let i = 1; i <= hours; i++) {
        const hourMs = UNTIL - i * HOUR;
        rows.set(`${id} ${hourMs}`, counted(id, hourMs, { spendMicros: 100 * PRICE, impressions: 100 }));
        bookings.set(`${id} ${hourMs}`, booked(id, hourMs, 100 * PRICE, 100));
      }
    for (const row of ours) rows.set(`${row.entityId} ${row.hourMs}`, row);
    for (const booking of theirs) bookings.set(`${booking.entityId} ${booking.hourMs}`, booking);
    await this.bed.stream([...rows.values()], CLOSED);
    await this.bed.book([...bookings.values()].filter(({ count }) => count !== 0));
    await this.bed.complete(UNTIL + DAY);
  }

  reconciler(options: Partial<ReconcileOptions> = {}, parts: Partial<ReconcilerParts> = {}): Reconciler {
    const inputs = { spend: { topic: 'impressions', partitions: 1 }, exposure: { topic: 'exposures', partitions: 1 } };
    const registry = new StaticRegistry({ campaigns: new Map(this.campaigns.map((row) => [row.campaignId, [row]])) });
    return new Reconciler({
      store: this.bed.open(),
      writer: this.log,
      registry,
      partialsTopic: PARTIALS,
      expected: async () => ({ inputs, partialsPartitions: 1 }),
      clock: new HandClock(UNTIL),
      options: { ...OPTIONS, ...options },
      versions: { code: 'test', config: 'test' },
      ...parts,
    });
  }

  run(request: Partial<RunRequest> = {}, options: Partial<ReconcileOptions> = {}): Promise<RunReport> {
    return this.reconciler(options).run({ untilMs: UNTIL, scope: null, dryRun: false, ...request });
  }
}

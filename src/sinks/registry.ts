/** What the company has registered, as one consistent snapshot. Times are epoch ms; ±Infinity where open. */
import { type Clock, SLOT_MS, UTC_ALWAYS, type ZoneSpan, type ZoneSpans } from '../topology/types.ts';

/** Valid from `fromMs` on, until `toMs` exclusive. */
export interface Validity {
  fromMs: number;
  toMs: number;
}

export interface CampaignRow extends Validity {
  campaignId: string;
  advertiserId: string | null;
  /** A zone this program knows; a row with another one is read as UTC and named in the log. */
  timeZone: string;
  pacingPolicy: 'graceful' | 'strict';
  pacingCurve: 'even' | 'accelerated' | 'predicted';
  status: 'active' | 'paused';
  /** The row's zone also holds for what happened from then on, before `fromMs`. */
  retroactiveFromMs: number | null;
}

export interface BudgetRow extends Validity {
  campaignId: string;
  dayCapMicros: number;
}

export interface ExperimentRow {
  experimentId: string;
  name: string;
  owner: string;
  status: string;
  randomizationUnit: string;
  salt: string | null;
  hash: 'md5_mod_100' | null;
  startedAtMs: number | null;
  endedAtMs: number | null;
}

export interface VariantRow {
  experimentId: string;
  variantId: string;
  position: number;
}

export interface AllocationRow extends Validity {
  experimentId: string;
  version: number;
  variantId: string;
  /** 0…1. */
  share: number;
}

/** Shares of a week's spend by hour in the campaign's zone: 168 numbers, Monday 0 h first. */
export type WeekShares = Float64Array;
export const HOURS_A_WEEK = 168;

/** All rows by campaign or experiment id: campaigns, budgets and allocations in order of `fromMs`, variants of `position`. */
export interface RegistryRows {
  campaigns: ReadonlyMap<string, readonly CampaignRow[]>;
  budgets: ReadonlyMap<string, readonly BudgetRow[]>;
  /** Of campaigns with a `predicted` curve, those that have any. */
  curveShares: ReadonlyMap<string, WeekShares>;
  /** Spend expected of all campaigns together, by the UTC hour's start. */
  forecast: ReadonlyMap<number, number>;
  experiments: ReadonlyMap<string, ExperimentRow>;
  variants: ReadonlyMap<string, readonly VariantRow[]>;
  allocations: ReadonlyMap<string, readonly AllocationRow[]>;
}

/** The cut of a run of the reconciler, epoch ms: hours before the first, bookings before the second. */
export interface RunCut {
  untilMs: number;
  bookedBeforeMs: number;
}

/** Whether a run has looked at more than another: a later one has. */
export const isLaterCut = (one: RunCut, other: RunCut): boolean =>
  one.untilMs > other.untilMs || (one.untilMs === other.untilMs && one.bookedBeforeMs > other.bookedBeforeMs);

export interface Registry extends RegistryRows {
  /** Grows with every change of a row; equal versions hold equal rows (the same maps). */
  version: number;
  /** The deployment's epoch: raised by `migrate --new-epoch`. */
  epoch: number;
  /** The registry's own clock when it was read: what "valid now" means. */
  asOfMs: number;
  /** This machine's clock then, for `registry_age_seconds`. */
  loadedWallMs: number;
  /** Monotonic ms of this process then: so that "valid now" goes on while the registry cannot be read. */
  loadedMonotonicMs: number;
  /** Of the reconciler's last run that was applied, no backfill; null before the first. No row: it leaves the version as it is. */
  reconciled: RunCut | null;
  /** The campaign's zones by time, each from the beginning of a quarter hour; UTC if unregistered. */
  zonesOf(campaignId: string): ZoneSpans;
}

export interface RegistrySource {
  /** Cheap when nothing changed. Rejects with code `postgres_unreachable` or `schema_missing`; what was loaded before stays good. */
  load(): Promise<Registry>;
  close(): Promise<void>;
}

/** The row valid at that time, or null. `rows` are in order of `fromMs` and do not overlap. */
export const validAt = <Row extends Validity>(rows: readonly Row[] | undefined, atMs: number): Row | null =>
  rows?.find((row) => row.fromMs <= atMs && atMs < row.toMs) ?? null;

/**
 * A later row's zone takes over from its beginning, or from as far back as it reaches; gaps keep what was before. Spend is
 * summed by the quarter hour, so a zone begins with one: else what is spent in the rest of it would be on the old zone's
 * day, and the bidder already be told of the new one's.
 */
const zonesOf = (rows: readonly CampaignRow[] | undefined): ZoneSpans => {
  if (rows === undefined || rows.length === 0) return UTC_ALWAYS;
  if (rows.length === 1) return always(rows[0].timeZone);
  const spans: ZoneSpan[] = [];
  for (const { fromMs, retroactiveFromMs, timeZone } of rows) {
    const sinceMs = Math.floor(Math.min(fromMs, retroactiveFromMs ?? fromMs) / SLOT_MS) * SLOT_MS;
    while (spans.length > 0 && spans[spans.length - 1].fromMs >= sinceMs) spans.pop();
    if (spans.at(-1)?.zone !== timeZone) spans.push({ fromMs: sinceMs, zone: timeZone });
  }
  if (spans.length === 1) return always(spans[0].zone);
  spans[0] = { ...spans[0], fromMs: Number.NEGATIVE_INFINITY };
  return spans;
};

const alwaysIn = new Map<string, ZoneSpans>();

/** One zone since ever: the same for all who have that, so that nobody makes or compares a hundred thousand of them. */
function always(zone: string): ZoneSpans {
  let spans = alwaysIn.get(zone);
  if (spans === undefined) {
    spans = [{ fromMs: Number.NEGATIVE_INFINITY, zone }];
    alwaysIn.set(zone, spans);
  }
  return spans;
}

export const makeRegistry = (
  rows: RegistryRows,
  at: Pick<Registry, 'version' | 'epoch' | 'asOfMs' | 'loadedWallMs'> & Partial<Pick<Registry, 'loadedMonotonicMs' | 'reconciled'>>,
): Registry => ({
  ...rows,
  loadedMonotonicMs: 0,
  reconciled: null,
  ...at,
  zonesOf: (campaignId) => zonesOf(rows.campaigns.get(campaignId)),
});

export const EMPTY_ROWS: RegistryRows = {
  campaigns: new Map(),
  budgets: new Map(),
  curveShares: new Map(),
  forecast: new Map(),
  experiments: new Map(),
  variants: new Map(),
  allocations: new Map(),
};

/** A registry that stands in memory: replay, demo, simulation. `set` is what an operator's change is elsewhere. */
export class StaticRegistry implements RegistrySource {
  #rows: RegistryRows;
  #version = 0;
  readonly #epoch: number;
  readonly #clock: Clock | null;
  /** As the reconciler's last run leaves it. */
  reconciled: RunCut | null = null;

  /** @param clock what "valid now" goes by; without one, rows that have begun at the end of time are valid */
  constructor(rows: Partial<RegistryRows> = {}, epoch = 1, clock: Clock | null = null) {
    this.#rows = { ...EMPTY_ROWS, ...rows };
    this.#epoch = epoch;
    this.#clock = clock;
  }

  set(rows: Partial<RegistryRows>): void {
    this.#rows = { ...this.#rows, ...rows };
    this.#version += 1;
  }

  async load(): Promise<Registry> {
    const now = this.#clock?.now();
    const times = { asOfMs: now?.wallMs ?? Number.MAX_SAFE_INTEGER, loadedWallMs: 0, loadedMonotonicMs: now?.monotonicMs ?? 0 };
    return makeRegistry(this.#rows, { version: this.#version, epoch: this.#epoch, reconciled: this.reconciled, ...times });
  }

  async close(): Promise<void> {}
}

/** A campaign row in force for ever, for tests and replay. */
export const campaignForever = (campaignId: string, timeZone: string): CampaignRow => ({
  campaignId,
  advertiserId: null,
  timeZone,
  pacingPolicy: 'graceful',
  pacingCurve: 'even',
  status: 'active',
  retroactiveFromMs: null,
  fromMs: Number.NEGATIVE_INFINITY,
  toMs: Number.POSITIVE_INFINITY,
});

/** A budget in force for ever, for tests and the demo. */
export const budgetForever = (campaignId: string, dayCapMicros: number): BudgetRow => ({
  campaignId,
  dayCapMicros,
  fromMs: Number.NEGATIVE_INFINITY,
  toMs: Number.POSITIVE_INFINITY,
});

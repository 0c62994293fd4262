/** What the company has registered, as one consistent snapshot. Times are epoch ms; ±Infinity where open. */

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

/** All rows by campaign or experiment id: campaigns, budgets and allocations in order of `fromMs`, variants of `position`. */
export interface RegistryRows {
  campaigns: ReadonlyMap<string, readonly CampaignRow[]>;
  budgets: ReadonlyMap<string, readonly BudgetRow[]>;
  experiments: ReadonlyMap<string, ExperimentRow>;
  variants: ReadonlyMap<string, readonly VariantRow[]>;
  allocations: ReadonlyMap<string, readonly AllocationRow[]>;
}

export interface Registry extends RegistryRows {
  /** Grows with every change of a row; equal versions hold equal rows (the same maps). */
  version: number;
  /** The deployment's epoch: raised by `migrate --new-epoch`. */
  epoch: number;
  /** The registry's own clock when it was read: what "valid now" means. */
  asOfMs: number;
  /** This machine's clock then, for `registry_age_seconds`. */
  loadedWallMs: number;
  /** The zone of the campaign row valid at `asOfMs`, else of the latest one begun, else of the first; UTC if unregistered. */
  zoneOf(campaignId: string): string;
  /** The next time at which a campaign row begins, by the registry's clock: until then `zoneOf` says the same. */
  zonesUntilMs(): number;
}

export interface RegistrySource {
  /** Cheap when nothing changed. Rejects with code `postgres_unreachable` or `schema_missing`; what was loaded before stays good. */
  load(): Promise<Registry>;
  close(): Promise<void>;
}

/** The row valid at that time, or null. `rows` are in order of `fromMs` and do not overlap. */
export const validAt = <Row extends Validity>(rows: readonly Row[] | undefined, atMs: number): Row | null =>
  rows?.find((row) => row.fromMs <= atMs && atMs < row.toMs) ?? null;

const zoneAt = (rows: readonly CampaignRow[] | undefined, atMs: number): string => {
  if (!rows || rows.length === 0) return 'UTC';
  const row = validAt(rows, atMs) ?? rows.findLast((candidate) => candidate.fromMs <= atMs) ?? rows[0];
  return row.timeZone;
};

const nextBeginMs = (campaigns: RegistryRows['campaigns'], afterMs: number): number => {
  let next = Number.POSITIVE_INFINITY;
  for (const rows of campaigns.values()) for (const { fromMs } of rows) if (fromMs > afterMs && fromMs < next) next = fromMs;
  return next;
};

export const makeRegistry = (
  rows: RegistryRows,
  at: { version: number; epoch: number; asOfMs: number; loadedWallMs: number },
): Registry => ({
  ...rows,
  ...at,
  zoneOf: (campaignId) => zoneAt(rows.campaigns.get(campaignId), at.asOfMs),
  zonesUntilMs: () => nextBeginMs(rows.campaigns, at.asOfMs),
});

const EMPTY: RegistryRows = {
  campaigns: new Map(),
  budgets: new Map(),
  experiments: new Map(),
  variants: new Map(),
  allocations: new Map(),
};

/** A registry that stands in memory: replay, demo, simulation. `set` is what an operator's change is elsewhere. */
export class StaticRegistry implements RegistrySource {
  #rows: RegistryRows;
  #version = 0;
  readonly #epoch: number;

  constructor(rows: Partial<RegistryRows> = {}, epoch = 1) {
    this.#rows = { ...EMPTY, ...rows };
    this.#epoch = epoch;
  }

  set(rows: Partial<RegistryRows>): void {
    this.#rows = { ...this.#rows, ...rows };
    this.#version += 1;
  }

  async load(): Promise<Registry> {
    return makeRegistry(this.#rows, { version: this.#version, epoch: this.#epoch, asOfMs: Number.MAX_SAFE_INTEGER, loadedWallMs: 0 });
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

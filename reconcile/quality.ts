/**
 * Data-quality checks: registered by name, each with version, priority, time to react and a limit. A new one only watches
 * (`shadow`) for its first 14 days, so that its limit can be judged; then it is a `gate`: when it fails, the run is held. What is
 * hygiene (priority 3) only watches for ever: money is not to wait for it.
 * Pure: measures in, results out.
 */

/** What is measured of the hours looked at; null where it cannot be had, and then the check says nothing. */
export interface Measures {
  /**
   * Rows of truth in the last whole day, over the median of the days before, those without any too; of the stream's own change, what it
   * does not share. Null with fewer than three days before.
   */
  rowCountRatio: number | null;
  /** Share of rows of the truth views that lack a key, an amount or `booked_at`. */
  nullShare: number | null;
  /** How far `truth_complete` is behind, in hours: infinite where it does not say, though a run has been applied. */
  staleHours: number | null;
  /** Columns of the contract views that are missing or of another type. */
  wrongColumns: number | null;
  /** Truth's spend in the last whole day, over the median of the days before; of the stream's own change, what it does not share. */
  baselineRatio: number | null;
  /** Share of exposed units that were never assigned to that variant. */
  unassignedShare: number | null;
  /** Duplicates over all records of spend that the stream has judged. */
  duplicateShare: number | null;
}

export type Mode = 'shadow' | 'gate';

export interface Check {
  name: string;
  version: number;
  /** 1: money may move wrongly; 2: numbers may be believed less; 3: hygiene. */
  priority: 1 | 2 | 3;
  /** Within how many hours somebody is to look. */
  slaHours: number;
  says: string;
  measure: keyof Measures;
  /** Inclusive: what is allowed. */
  least: number;
  most: number;
}

const INFINITE = Number.POSITIVE_INFINITY;

export const CHECKS: readonly Check[] = [
  {
    name: 'row_count_floor',
    version: 2,
    priority: 1,
    slaHours: 4,
    says: 'the truth has far fewer rows than on the days before',
    measure: 'rowCountRatio',
    least: 0.5,
    most: INFINITE,
  },
  {
    name: 'null_rate',
    version: 1,
    priority: 1,
    slaHours: 8,
    says: 'rows of the truth lack a key, an amount or when they were booked',
    measure: 'nullShare',
    least: 0,
    most: 0.001,
  },
  {
    name: 'freshness',
    version: 2,
    priority: 2,
    slaHours: 8,
    says: 'the truth is complete only until long ago',
    measure: 'staleHours',
    least: -INFINITE,
    most: INFINITE, // QualityOptions.staleHours
  },
  {
    name: 'schema',
    version: 1,
    priority: 1,
    slaHours: 4,
    says: 'a contract view has other columns than the contract',
    measure: 'wrongColumns',
    least: 0,
    most: 0,
  },
  {
    name: 'baseline_drift',
    version: 2,
    priority: 2,
    slaHours: 8,
    says: 'the truth’s spend of a day is far from that of the days before, and the stream’s is not',
    measure: 'baselineRatio',
    least: 0.4,
    most: 2.5,
  },
  {
    name: 'unassigned_exposures',
    version: 1,
    priority: 3,
    slaHours: 24,
    says: 'units were exposed to a variant that they were not assigned',
    measure: 'unassignedShare',
    least: 0,
    most: 0.02,
  },
  {
    name: 'duplicate_rate',
    version: 1,
    priority: 3,
    slaHours: 24,
    says: 'an unusual share of the records came more than once',
    measure: 'duplicateShare',
    least: 0,
    most: 0.25,
  },
];

export interface CheckResult {
  check: Check;
  mode: Mode;
  passed: boolean;
  measured: number;
}

export interface QualityOptions {
  nowMs: number;
  shadowMs: number;
  /** Names that stay in shadow whatever their age. */
  alwaysShadow: readonly string[];
  /** How far `truth_complete` may be behind, in hours. */
  staleHours: number;
  /** When each (`name/version`) gave its first result. */
  firstMs: ReadonlyMap<string, number>;
}

export const checkId = ({ name, version }: Check): string => `${name}/${version}`;

export function judgeQuality(measures: Measures, options: QualityOptions): CheckResult[] {
  return CHECKS.flatMap((declared) => {
    const check = declared.name === 'freshness' ? { ...declared, most: options.staleHours } : declared;
    const measured = measures[check.measure];
    if (measured === null || Number.isNaN(measured)) return [];
    return [{ check, mode: modeOf(check, options), passed: measured >= check.least && measured <= check.most, measured }];
  });
}

function modeOf(check: Check, { nowMs, shadowMs, alwaysShadow, firstMs }: QualityOptions): Mode {
  if (alwaysShadow.includes(check.name) || check.priority === 3) return 'shadow';
  return nowMs - (firstMs.get(checkId(check)) ?? nowMs) >= shadowMs ? 'gate' : 'shadow';
}

/** What is infinite is not known. */
export const measuredText = (measured: number): string => (Number.isFinite(measured) ? String(Number(measured.toPrecision(4))) : 'unknown');

/** Why the run is held, or null. */
export function gateReason(results: readonly CheckResult[]): string | null {
  const failed = results.filter(({ mode, passed }) => mode === 'gate' && !passed);
  if (failed.length === 0) return null;
  return `data-quality gate: ${failed.map(({ check, measured }) => `${check.name} (${check.says}: ${measuredText(measured)})`).join('; ')}`;
}

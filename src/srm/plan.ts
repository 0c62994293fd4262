/** What the registry says of an experiment, as its tests need it. */
import type { AllocationRow, ExperimentRow, VariantRow } from '../sinks/registry.ts';
import { sharesAddUp } from './split-input.ts';

export interface VersionPlan {
  version: number;
  /** By arm; null when it cannot be tested, and `problem` says why. */
  shares: number[] | null;
  /** When its first row begins; -Infinity when it always was. */
  fromMs: number;
  problem: string | null;
}

/** Plain data: kept with the state, so that a replay before the registry answers looks with the same eyes. */
export interface ExperimentPlan {
  name: string;
  owner: string;
  isRunning: boolean;
  salt: string | null;
  hash: 'md5_mod_100' | null;
  /** Each is a phase of its own. */
  startedAtMs: number | null;
  endedAtMs: number | null;
  /** Variants in order of position, then those that only have an allocation. */
  arms: string[];
  versions: VersionPlan[];
  /** When a second version begins that expects something else than the first; null when none does. */
  severalFromMs: number | null;
}

/** States in which nobody waits for an alert. */
const NOT_RUNNING = new Set(['draft', 'paused', 'stopped', 'ended', 'completed', 'archived']);

/** All that the registry has of one experiment. */
export interface PlanRows {
  row: ExperimentRow;
  variants: readonly VariantRow[];
  allocations: readonly AllocationRow[];
}

/** Whether a plan of them would be the same. Asked of every experiment whenever any row of the registry has changed. */
export function sameRows(one: PlanRows, other: PlanRows): boolean {
  const [a, b] = [one.row, other.row];
  return (
    a.status === b.status &&
    a.startedAtMs === b.startedAtMs &&
    a.endedAtMs === b.endedAtMs &&
    a.salt === b.salt &&
    a.hash === b.hash &&
    a.owner === b.owner &&
    a.name === b.name &&
    alike(one.variants, other.variants, (v, w) => v.variantId === w.variantId && v.position === w.position) &&
    alike(one.allocations, other.allocations, isSameAllocation)
  );
}

const alike = <Row>(one: readonly Row[], other: readonly Row[], same: (a: Row, b: Row) => boolean): boolean =>
  one === other || (one.length === other.length && one.every((row, i) => same(row, other[i])));

const isSameAllocation = (a: AllocationRow, b: AllocationRow): boolean =>
  a.version === b.version && a.variantId === b.variantId && a.share === b.share && a.fromMs === b.fromMs && a.toMs === b.toMs;

export function planOf({ row, variants, allocations }: PlanRows): ExperimentPlan {
  const arms = [...new Set([...variants.map(({ variantId }) => variantId), ...allocations.map(({ variantId }) => variantId)])];
  const numbers = [...new Set(allocations.map(({ version }) => version))].sort((a, b) => a - b);
  const rows = new Map<number, AllocationRow[]>(numbers.map((version) => [version, []]));
  for (const row of allocations) rows.get(row.version)?.push(row);
  const versions = numbers.map((version) => versionPlan(version, arms, rows.get(version) ?? []));
  return {
    name: row.name,
    owner: row.owner,
    isRunning: !NOT_RUNNING.has(row.status),
    salt: row.salt,
    hash: row.hash,
    startedAtMs: row.startedAtMs,
    endedAtMs: row.endedAtMs,
    arms,
    versions,
    severalFromMs: severalFromMs(versions),
  };
}

const byVersion = new WeakMap<ExperimentPlan, Map<number, VersionPlan>>();

/** What a plan has of a version: by its number, since a bandit has thousands. */
export function versionOf(plan: ExperimentPlan, version: number): VersionPlan | undefined {
  let known = byVersion.get(plan);
  if (known === undefined) {
    known = new Map(plan.versions.map((one) => [one.version, one]));
    byVersion.set(plan, known);
  }
  return known.get(version);
}

/** Event time has come to its end: what is still counted are stragglers. */
export const isOver = ({ endedAtMs }: ExperimentPlan, timeMs: number): boolean => endedAtMs !== null && timeMs >= endedAtMs;

/** Whether one of these versions is split otherwise now. */
export function splitsDiffer(before: ExperimentPlan, now: ExperimentPlan, versions: readonly { version: number }[]): boolean {
  const text = (plan: ExperimentPlan, version: number): string => {
    const { arms } = plan;
    const shares = versionOf(plan, version)?.shares ?? null;
    return shares === null ? '' : JSON.stringify(arms.flatMap((arm, i) => (shares[i] > 0 ? [[arm, shares[i]]] : [])).sort());
  };
  return versions.some(({ version }) => text(before, version) !== text(now, version));
}

function versionPlan(version: number, arms: readonly string[], rows: readonly AllocationRow[]): VersionPlan {
  const fromMs = Math.min(...rows.map((row) => row.fromMs));
  const shares = arms.map((arm) => [...new Set(rows.filter(({ variantId }) => variantId === arm).map(({ share }) => share))]);
  const split = shares.findIndex((given) => given.length > 1);
  if (split !== -1) {
    const problem = `allocation version ${version} gives ${arms[split]} ${shares[split].join(' and then ')}: a changed split needs a new version`;
    return { version, shares: null, fromMs, problem };
  }
  const flat = shares.map(([share]) => share ?? 0);
  if (sharesAddUp(flat)) return { version, shares: flat, fromMs, problem: null };
  const sum = flat.reduce((total, share) => total + share, 0);
  return {
    version,
    shares: null,
    fromMs,
    problem: `the shares of allocation version ${version} add to ${Number(sum.toFixed(9))}, not to 1`,
  };
}

function severalFromMs(versions: readonly VersionPlan[]): number | null {
  const begins = versions.filter(({ shares }) => shares !== null).sort((a, b) => a.fromMs - b.fromMs);
  const other = begins.find(({ shares }) => String(shares) !== String(begins[0].shares));
  return other?.fromMs ?? null;
}

import { hash } from 'node:crypto';
import { type ExperimentPlan, versionOf } from './plan.ts';

const BUCKETS = 100;

/** The bucket of a unit by `md5_mod_100`: md5 of `unit_id:salt` (the experiment's id where it has no salt), as an integer mod 100. */
export function bucketOf(unitId: string, experimentId: string, salt: string | null): number {
  const digest = hash('md5', `${unitId}:${salt ?? experimentId}`, 'buffer');
  let rest = 0;
  for (const byte of digest) rest = (rest * 256 + byte) % BUCKETS;
  return rest;
}

/** The arm a bucket belongs to: the first whose cumulative share × 100 exceeds it; -1 for none. */
export function armOfBucket(bucket: number, shares: readonly number[]): number {
  let cumulative = 0;
  // Sums of decimal shares miss whole buckets by rounding alone.
  return shares.findIndex((share) => {
    cumulative += share * BUCKETS;
    return Math.round(cumulative * 1e9) / 1e9 > bucket;
  });
}

/** A unit whose variant is not the one its hash gives. */
export interface Mismatch {
  unitId: string;
  logged: string;
  hashed: string;
}

interface LoggedUnit {
  experimentId: string;
  version: number;
  variant: string;
  unitId: string;
}

/** The variant that a unit's hash gives it; that which was logged where the hash gives none, null where there is nothing to check by. */
export function hashedVariant(plan: ExperimentPlan, { experimentId, version, variant, unitId }: LoggedUnit): string | null {
  if (plan.hash === null || !plan.arms.includes(variant)) return null;
  const shares = versionOf(plan, version)?.shares;
  if (!shares) return null;
  return plan.arms[armOfBucket(bucketOf(unitId, experimentId, plan.salt), shares)] ?? variant;
}

/** What a seed means: settings, sizes, and which kinds of trouble there will be. */
import { FILE_SCHEMA, type FileSettings } from '../../src/config.ts';
import { STREAMS, type Stream } from '../../src/topology/types.ts';
import type { Random } from './random.ts';

/** Kinds of trouble; a seed has some of them. Coverage is reported by these names. */
export const TROUBLES = [
  'crash',
  'refused call',
  'lost reply',
  'repeated send',
  'repeated counters',
  'repeated append',
  'rebalance',
  'zombie',
  'clean stop',
  'lagging partition',
  'redis wiped',
  'redis restored',
  'stale key',
  'totals failing',
  'ingest state lost',
  'evaluate state lost',
  'ingest log truncated',
  'evaluate log truncated',
  'retention',
  'zones changed',
  'alert acknowledged',
  'reconcile',
] as const;
export type Trouble = (typeof TROUBLES)[number];

export interface Plan {
  settings: FileSettings;
  partitions: Record<Stream, number>;
  partialsPartitions: number;
  records: number;
  processes: number;
  /** One folder of all processes, or one of each. */
  sharedState: boolean;
  /**
   * Times are those of a live system: a record's Kafka time is when it is appended, events have just happened, and midnight is
   * near. What the bidder is told is held against the truth at every write.
   */
  live: boolean;
  /** Event time runs past the retention of days and hours, so that evaluate forgets old ones. */
  forgets: boolean;
  outputUnique: boolean;
  maxBatchRecords: number;
  keysPerStep: number;
  /** Virtual ms in which the traffic is produced. */
  produceMs: number;
  /** Virtual ms until everything that ails is over. */
  troubleMs: number;
  /** Mean virtual ms between two troubles of the larger kind. */
  troubleEveryMs: number;
  /** How many times likelier than usual a crash inside a call is. */
  crashing: number;
  /** Chance that a call fails. */
  failing: number;
  troubles: ReadonlySet<Trouble>;
}

/** How soon a log is replaced by a snapshot: never, sometimes, at once. */
const SNAPSHOTS = [{}, { snapshotBytes: 2000, snapshotRatio: 0 }, { snapshotBytes: 1, snapshotRatio: 0 }] as const;
const WINDOWS = [1000, 5000, 60_000] as const;

function settingsOf(random: Random, forgets: boolean): FileSettings {
  const windowMs = random.pick(WINDOWS);
  const dedupBucketMs = windowMs * random.int(1, 4);
  const allowedLatenessMs = windowMs * random.int(1, 5);
  const keptMs = (forgets ? 1 : 1000) * 86_400_000;
  return FILE_SCHEMA.parse({
    time: {
      windowMs,
      allowedLatenessMs,
      maxOutOfOrdernessMs: random.pick([1, windowMs / 2, windowMs * 2]),
      maxFutureSkewMs: windowMs * 10,
      dedupBucketMs,
      dedupTtlMs: Math.max(allowedLatenessMs, dedupBucketMs * random.int(2, 24)),
      idleAfterMs: random.pick([500, 2000, 60_000]),
    },
    pace: {
      emitMs: 200,
      emitCatchingUpMs: 1000,
      commitMs: random.pick([300, 1000]),
      totalsFlushMs: 2000,
      rewriteMs: 4000,
      registryMs: 2000,
    },
    limits: { slotRetentionMs: keptMs, evidenceMs: keptMs, ...random.pick(SNAPSHOTS) },
    // So that a few units make steps of the onset test, and alarms.
    srm: { stepUnits: 3, alpha: 0.2, maxValues: 2 },
  });
}

export function planOf(random: Random): Plan {
  const calm = random.chance(0.05);
  const troubles = new Set(TROUBLES.filter(() => !calm && random.chance(0.3)));
  const live = random.chance(0.35);
  const forgets = !live && random.chance(0.25);
  // What has been forgotten is neither written nor counted again, nor moved to another day.
  if (forgets)
    for (const trouble of ['redis wiped', 'redis restored', 'stale key', 'ingest log truncated', 'zones changed', 'reconcile'] as const)
      troubles.delete(trouble);
  // A state that was lost for good does not know which days it has shown.
  if (troubles.has('evaluate log truncated')) troubles.delete('zones changed');
  const sharedState = random.chance(0.6);
  // Behind a truncated log an empty folder is lost state, so every move of a partition would be.
  if (!sharedState)
    for (const trouble of ['ingest log truncated', 'evaluate log truncated', 'retention'] as const) troubles.delete(trouble);
  // Where counts are too low for good, counters keep the larger value and no adjustment lowers them.
  if (troubles.has('reconcile'))
    for (const trouble of ['ingest log truncated', 'evaluate log truncated'] as const) troubles.delete(trouble);
  const partitions = Object.fromEntries(STREAMS.map((stream) => [stream, random.pick([1, 1, 1, 2, 3])])) as Record<Stream, number>;
  const produceMs = random.pick([0, 4000, 8000]);
  const settings = settingsOf(random, forgets);
  // A silent partition is open until it is idle, and what is open is not repaired.
  if (troubles.has('reconcile')) settings.time.idleAfterMs = Math.min(settings.time.idleAfterMs, 2000);
  return {
    settings,
    live,
    forgets,
    partitions,
    partialsPartitions: random.pick([1, 1, 2, 3]),
    records: random.int(50, 300),
    processes: random.pick([1, 2, 2, 3]),
    sharedState,
    outputUnique: random.chance(0.2),
    maxBatchRecords: random.pick([3, 10, 30, 1000]),
    keysPerStep: random.pick([1, 2, 50]),
    produceMs,
    // Hours close when all is read; what is repaired then is to meet trouble too.
    troubleMs: produceMs + random.int(2000, 6000) + (troubles.has('reconcile') ? 10_000 : 0),
    troubleEveryMs: random.pick([400, 1000, 2500]),
    crashing: random.pick([1, 1, 6]),
    failing: random.pick([0.002, 0.01, 0.03]),
    troubles,
  };
}

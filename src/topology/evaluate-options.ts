/** What evaluate is given, and what it sends. */
import type { LimitSettings, PaceSettings, PacingSettings, SrmSettings } from '../config.ts';
import type { SeededHash } from '../state/hash.ts';
import type { MakePart } from './evaluate-part.ts';
import type { CounterWrite, CounterWriter, OutRecord } from './types.ts';

export interface CounterBatch {
  writer: CounterWriter;
  writes: CounterWrite[];
}

/** What one step sends: both are acknowledged before the next commit, and both may be repeated. */
export interface EvaluateOut extends CounterBatch {
  records: OutRecord[];
}

export interface EvaluateOptions {
  /** `.partials`. */
  topic: string;
  partition: number;
  partialsPartitions: number;
  pace: PaceSettings;
  pacing: PacingSettings;
  limits: LimitSettings;
  srm: SrmSettings;
  /** How far a watermark of ingest is behind the latest event: 30 s where not said. */
  maxOutOfOrdernessMs?: number;
  /** For tables in memory; nothing of it is kept. */
  hash?: SeededHash;
  /** What it does beyond counting. */
  parts: readonly MakePart[];
}

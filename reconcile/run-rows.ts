/** Runs and deltas as Postgres keeps them. JSON has no infinity, so bounds are kept as text. */
import { copyLine } from '../src/sinks/copy-text.ts';
import type { RunHead, RunStatus, RunSummary } from './store.ts';
import { type Delta, type Kind, NO_EVIDENCE, type SourcePosition } from './types.ts';

type Bounds = Record<'closedMs' | 'completeMs', Record<Kind, string>>;

export interface RunRow {
  runId: string;
  status: RunStatus;
  untilMs: number;
  bookedBeforeMs: number;
  positions: SourcePosition[];
  bounds: Bounds;
  fromMs: number;
  toMs: number;
  isBackfill: boolean;
  lockedMs: number;
  startedMs: number;
  codeVersion: string;
  configVersion: string;
  summary: RunSummary;
}

const texts = ({ spend, exposure }: Record<Kind, number>): Record<Kind, string> => ({ spend: String(spend), exposure: String(exposure) });
const numbers = ({ spend, exposure }: Record<Kind, string>): Record<Kind, number> => ({ spend: Number(spend), exposure: Number(exposure) });

export function headOf(row: RunRow): RunHead {
  const { untilMs, positions, bounds, fromMs, toMs, isBackfill } = row;
  const bookedBeforeMs = Math.round(row.bookedBeforeMs);
  return {
    runId: row.runId,
    cut: { untilMs, bookedBeforeMs, positions, closedMs: numbers(bounds.closedMs), completeMs: numbers(bounds.completeMs) },
    scope: { fromMs, toMs, isBackfill },
    lockedMs: row.lockedMs,
    startedMs: Math.round(row.startedMs),
    codeVersion: row.codeVersion,
    configVersion: row.configVersion,
  };
}

/** In the order of BEGIN's parameters. */
export const beginValues = (
  { runId, cut, scope, lockedMs, startedMs, codeVersion, configVersion }: RunHead,
  status: RunStatus,
): unknown[] => [
  runId,
  status,
  startedMs,
  cut.untilMs,
  cut.bookedBeforeMs,
  JSON.stringify(cut.positions),
  JSON.stringify({ closedMs: texts(cut.closedMs), completeMs: texts(cut.completeMs) }),
  scope.fromMs,
  scope.toMs,
  scope.isBackfill,
  lockedMs,
  codeVersion,
  configVersion,
];

export const DELTA_COLUMNS =
  'run_id, kind, entity_id, allocation_version, variant_id, hour, stream_spend_micros, truth_spend_micros, stream_count, truth_count, ' +
  'class, adjusted, evidence, action, explained, raw_spend_micros, raw_count';

/** A line of COPY. Of spend, a truth that does not count has an amount and no count. */
export function deltaLine(runId: string, delta: Delta): string {
  const { kind, entityId, allocationVersion, variantId, hourMs, stream, truth, action, explainedBy } = delta;
  const isSpend = kind === 'spend';
  const evidence = { ...(stream?.evidence ?? NO_EVIDENCE), credits: truth?.credits ?? 0, bookedSince: truth?.bookedSince ?? 0 };
  return copyLine([
    runId,
    kind,
    entityId,
    allocationVersion,
    variantId,
    new Date(hourMs).toISOString(),
    isSpend ? (stream?.shown.amount ?? null) : null,
    isSpend ? (truth?.amount ?? null) : null,
    stream?.shown.count ?? null,
    truth?.count ?? null,
    delta.class,
    action === 'adjust',
    JSON.stringify(evidence),
    action,
    explainedBy !== null,
    isSpend ? (stream?.raw.amount ?? null) : null,
    stream?.raw.count ?? null,
  ]);
}

/** What becomes of each drifted hour, and the adjustments that follow. */
import type { Adjustment } from '../src/topology/adjustments.ts';
import type { Classified } from './classify.ts';
import { type Action, type ComparedEntity, type CutPoint, compareCuts, type Delta } from './types.ts';

/** Hours before `lockedMs`, and those that were corrected before, are history: a difference there is a row of its own. */
export function deltasOf(entity: ComparedEntity, classified: readonly Classified[], at: CutPoint & { lockedMs: number }): Delta[] {
  const { kind, entityId, allocationVersion, variantId } = entity;
  return classified.map(({ hour, class: name, explainedBy }) => {
    const { hourMs, stream, truth, delta } = hour;
    return {
      kind,
      entityId,
      allocationVersion,
      variantId,
      hourMs,
      stream,
      truth,
      delta,
      class: name,
      explainedBy,
      action: actionOf(entity, hour, at),
    };
  });
}

function actionOf({ kind }: ComparedEntity, { hourMs, stream }: Classified['hour'], at: CutPoint & { lockedMs: number }): Action {
  if (kind === 'exposure') return 'report'; // the tests of traffic splits read the stream's own counts
  if (hourMs < at.lockedMs || stream?.isCorrected) return 'correct';
  const standing = stream?.adjustedAt ?? null;
  return standing !== null && compareCuts(standing, at) > 0 ? 'superseded' : 'adjust';
}

/** The truth of each hour that is to be adjusted; where it does not count impressions, the stream's count stands. */
export const adjustmentsOf = (deltas: readonly Delta[], { untilMs, bookedBeforeMs }: CutPoint): Adjustment[] =>
  deltas
    .filter(({ action }) => action === 'adjust')
    .map(({ entityId, hourMs, stream, truth }) => ({
      campaignId: entityId,
      hourMs,
      spendMicros: truth?.amount ?? 0,
      impressions: truth === null ? 0 : (truth.count ?? stream?.shown.count ?? 0),
      untilMs,
      bookedBeforeMs,
    }));

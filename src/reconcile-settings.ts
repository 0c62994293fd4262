/** Settings of `reconcile`: a section of CONFIG_FILE. */
import { z } from 'zod';

const minute = 60_000;
const share = (initial: number, says: string) => z.number().min(0).max(1).default(initial).describe(says);

export const reconcileSchema = z
  .strictObject({
    toleranceRatio: share(0.01, 'An hour agrees when it differs by at most this share of the truth …'),
    floorMicros: z.number().int().min(0).default(10_000).describe('… or by at most this many micros,'),
    floorCount: z.number().int().min(0).default(1).describe('… and its impressions (units) by at most the share, or this many.'),
    explainedShare: share(0.8, 'A reason is named when it explains at least this share of a difference.'),
    lockDays: z.number().int().min(1).max(7).default(7).describe('Day D is history once day D + this has begun (UTC).'),
    holdCampaignShare: share(0.05, 'A run is held when more than this share of campaigns would move without explanation,'),
    holdMicros: z.number().int().min(0).default(1e10).describe('… or more than this many micros.'),
    holdFloorMicros: z
      .number()
      .int()
      .min(0)
      .default(1_000_000)
      .describe('A campaign counts there when it moves by more than this, or by more than 1 % of itself.'),
    alertDriftRatio: share(0.01, 'Spend that differs from the truth by more than this share raises an alert.'),
    alertBackfillRatio: share(0.001, 'A backfill that moves more than this share of what was shown raises an alert.'),
    confirmDays: z.number().int().positive().default(30).describe('A backfill of more days asks for --confirm.'),
    waitMs: z
      .number()
      .int()
      .min(0)
      .default(5 * minute)
      .describe('How long a run waits for another one before it gives up.'),
    shadowDays: z
      .number()
      .int()
      .min(0)
      .default(14)
      .describe('A data-quality check only watches for so long; then a failed one holds the run.'),
    staleHours: z
      .number()
      .positive()
      .default(30)
      .describe('The check `freshness` fails when `truth_complete` is further behind, in hours: daily booking, and six hours for it.'),
    guardrailAlpha: share(0.001, 'A guardrail is VIOLATED with this chance over an experiment’s life though the harm is tolerated,'),
    guardrailWarningAlpha: share(0.05, '… and WARNING with this.'),
    alwaysShadow: z.array(z.string()).default([]).describe('Checks that only watch, by name.'),
  })
  .prefault({});

/** The section `pacing` of the YAML file. */
import { z } from 'zod';

const ms = (defaultMs: number, says: string) => z.number().int().positive().default(defaultMs).describe(says);
const minute = 60_000;
const hour = 60 * minute;

export const PACING_SECTION = z
  .strictObject({
    reactionMs: ms(
      1500,
      'From a decision here until the last impression that it would have prevented is in Kafka: the gate’s refresh, the auction, the ad shown.',
    ),
    rateMs: ms(20_000, 'Spend rates are averaged over about this long.'),
    rewriteMs: ms(3500, 'Every pace: key is rewritten within this time (contract: 5 s).'),
    alertLagMs: ms(minute, 'While counting of impressions is further behind than this, alerts of delivery and spend are held back.'),
    underDeliveryFloorMicros: z
      .number()
      .int()
      .positive()
      .default(10_000_000)
      .describe('A campaign is judged by its plan only where the plan, by now, is at least this much (micros).'),
    creditMs: ms(
      2 * hour,
      'After a credit 80 % of what remains may be spent until the reconciler has run again; after this time all of it, if it has not.',
    ),
  })
  .prefault({});

/** Settings of the tests of experiments. */
import { z } from 'zod';

const share = (initial: number, says: string) => z.number().gt(0).lt(1).default(initial).describe(says);

export const srmSettings = z
  .strictObject({
    alpha: share(0.001, 'Chance that a healthy experiment is ever alarmed about, over its whole life and however often looked at.'),
    fleetAlpha: share(0.05, 'Of the experiments named suspicious among all, the share that may be healthy.'),
    stepUnits: z
      .number()
      .int()
      .positive()
      .default(1000)
      .describe('Units between the steps of the onset test, or half a per cent of those there are, whichever is more.'),
    floor: share(0.001, 'A deviation of a share below this (absolute) makes a ticket, not a page.'),
    pauses: z
      .boolean()
      .default(false)
      .describe(
        'Whether an experiment that is paged about for its split, or for a leak, is paused: once an alert, until somebody sets its status.',
      ),
    contamination: share(0.01, 'Share of units in more than one variant that is tolerated.'),
    dimensions: z
      .array(z.string().min(1))
      .max(16)
      .default(['country', 'device_os', 'sdk_version', 'surface', 'is_bot'])
      .describe('Attributes of exposures that segments are made of.'),
    maxValues: z
      .number()
      .int()
      .min(1)
      .max(1000)
      .default(50)
      .describe('Values of one dimension that are told apart in one partition; the rest is folded.'),
    unitsSampled: z
      .number()
      .int()
      .min(0)
      .max(10_000)
      .default(100)
      .describe('Units of one emission whose ids go to evaluate, so that their hash can be checked; 0 checks none.'),
  })
  .prefault({});

export type SrmSettings = z.infer<typeof srmSettings>;

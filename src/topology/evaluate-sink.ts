/** What evaluate sends in one step: counters first, since a bidder waits for them. */
import type { CounterBatch, EvaluateOut } from './evaluate.ts';
import type { Sink } from './stage.ts';
import type { CounterOutcome, LogWriter } from './types.ts';

export const evaluateSink = (counters: Sink<CounterBatch, CounterOutcome>, writer: LogWriter): Sink<EvaluateOut, CounterOutcome> => ({
  deliver: async (out) => {
    const outcome = await counters.deliver(out);
    if (out.records.length > 0) await writer.send(out.records);
    return outcome;
  },
});

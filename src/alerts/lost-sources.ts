/** A source partition that began counting again behind a truncated log is told to somebody, once (design §3 must 9). */
import type { MakePart } from '../topology/evaluate-part.ts';

/** Every partition of `.partials` hears every source; the first tells. */
export const lostSources: MakePart = ({ state, alerts, partition }) => ({
  looked: ({ source, mark, atMs }) => {
    if (partition !== 0 || !state.sources.lost.has(source)) return;
    const { topic, partition: number, origin } = mark;
    const where = `${topic}/${number}`;
    alerts.raise(
      {
        kind: 'counts_uncertain',
        subject: { kind: 'source', id: where },
        phase: String(origin),
        severity: 'ticket',
        owner: '',
        summary: `${where} counts anew from offset ${origin}: its counts may be too low`,
        description: `The state of ${where} was lost, and Kafka no longer has its records before offset ${origin}. Counters and hourly totals show the larger of what was counted before and since; what came since then is in them only where it is the larger.`,
        nextStep: 'Reconcile the hours around the loss against your own totals; find out why the state was lost.',
        facts: { topic, partition: number, origin },
      },
      atMs,
    );
  },
});

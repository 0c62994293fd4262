/** Holds what a bidder and an experimenter would read against what the generator knows to be true. */
import { type Truth, totalOf } from '../generate/index.ts';
import type { MemoryCounters } from '../sinks/memory-counters.ts';
import { STREAMS } from '../topology/types.ts';
import type { SideTally } from './side-tally.ts';

export interface Comparison {
  /** Numbers compared, by kind, and how many differ. */
  kinds: { kind: string; compared: number; different: number }[];
  compared: number;
  different: number;
}

type Pair = [truth: number, counted: number];

export function compareWithTruth(truth: Truth, counters: MemoryCounters, side: SideTally): Comparison {
  const kinds = [
    kind('spend and impressions, campaign × day', spendPairs(truth, counters)),
    kind('first exposures, experiment × variant', unitPairs(truth, counters)),
    kind(
      'contaminated units, experiment',
      Object.entries(truth.exposed).map(([id, { contaminated }]) => [contaminated, read(counters, `exposed:{${id}}`, 'contaminated')]),
    ),
    kind('duplicate, late, invalid records, by topic', sidePairs(truth, side)),
  ];
  const sum = (name: 'compared' | 'different') => kinds.reduce((total, entry) => total + entry[name], 0);
  return { kinds, compared: sum('compared'), different: sum('different') };
}

const kind = (name: string, pairs: Pair[]) => ({
  kind: name,
  compared: pairs.length,
  different: pairs.filter(([truth, counted]) => truth !== counted).length,
});

const read = (counters: MemoryCounters, key: string, field: string): number => Number(counters.get(key)?.[field] ?? 0);

const spendPairs = (truth: Truth, counters: MemoryCounters): Pair[] =>
  Object.entries(truth.spend).flatMap(([campaign, days]) =>
    Object.entries(days).flatMap(([day, { spend_micros, impressions }]): Pair[] => {
      const key = `spend:{${campaign}}:${day}`;
      return [
        [spend_micros, read(counters, key, 'spend_micros')],
        [impressions, read(counters, key, 'impressions')],
      ];
    }),
  );

const unitPairs = (truth: Truth, counters: MemoryCounters): Pair[] =>
  Object.entries(truth.exposed).flatMap(([id, { units }]) =>
    Object.entries(units).map(([variant, count]): Pair => [count, read(counters, `exposed:{${id}}`, `units:${variant}`)]),
  );

function sidePairs(truth: Truth, side: SideTally): Pair[] {
  const totals = STREAMS.map((stream) => totalOf(truth.records[stream]));
  const sum = (name: 'duplicate' | 'late' | 'invalid') => totals.reduce((total, counts) => total + counts[name], 0);
  const suspected = STREAMS.reduce((total, stream) => total + truth.suspected[stream], 0);
  return [
    [sum('duplicate'), side.count('duplicates', 'duplicate_event_id')],
    [sum('late'), side.count('late')],
    [sum('invalid'), side.count('invalid')],
    [suspected, side.count('duplicates', 'suspected_duplicate')],
    [truth.violations, side.count('violations')],
  ];
}

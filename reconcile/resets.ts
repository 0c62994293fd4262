/** Sources that began to count anew between two runs: their origin has risen. */
import type { Reset } from './classify.ts';
import type { ExpectedSources } from './cut.ts';
import { KINDS, type SourcePosition } from './types.ts';

const nameOf = ({ partialsPartition, topic, partition }: SourcePosition): string => JSON.stringify([partialsPartition, topic, partition]);

/** @param before positions of the last run that was applied; null before the first, when an origin above 0 is itself the sign */
export function resetsBetween(
  before: readonly SourcePosition[] | null,
  now: readonly SourcePosition[],
  { inputs }: Pick<ExpectedSources, 'inputs'>,
): Reset[] {
  const known = new Map((before ?? []).map((at) => [nameOf(at), at]));
  return now.flatMap((at) => {
    const kind = KINDS.find((name) => inputs[name].topic === at.topic);
    const was = known.get(nameOf(at));
    if (kind === undefined || at.origin <= (was?.origin ?? 0)) return [];
    return [{ kind, sinceMs: was?.watermarkMs ?? Number.NEGATIVE_INFINITY }];
  });
}

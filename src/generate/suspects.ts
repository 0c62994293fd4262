/** How well the suspected-duplicate sidecar does against the truth. */
import { STREAMS, type Stream } from '../topology/types.ts';
import { type Truth, totalOf } from './truth.ts';

export interface SuspectSource {
  topic: string;
  partition: number;
  offset: number;
}

export interface SuspectRates {
  /** Re-stamped copies that could be caught, and those that were; of them the share (1 when there are none). */
  catchable: number;
  caught: number;
  catchRate: number;
  /** Accepted records that are no re-stamped copies, those suspected all the same, and their share (0 when there are none). */
  honest: number;
  falselySuspected: number;
  falseRate: number;
}

/** Rates by stream. `suspected` may repeat a source; offsets count from 0, as in a topic that this traffic alone went to. */
export const suspectReport = (truth: Truth, suspected: Iterable<SuspectSource>): Record<Stream, SuspectRates> => {
  const seen: Record<string, Set<number>[]> = {};
  for (const { topic, partition, offset } of suspected) {
    seen[topic] ??= [];
    seen[topic][partition] ??= new Set();
    seen[topic][partition].add(offset);
  }
  return Object.fromEntries(STREAMS.map((stream) => [stream, ratesOf(truth, stream, seen[stream] ?? [])])) as Record<Stream, SuspectRates>;
};

const ratesOf = (truth: Truth, stream: Stream, suspected: Set<number>[]): SuspectRates => {
  const { catchable, offsets } = truth.restamped[stream];
  let caught = 0;
  offsets.forEach((meant, partition) => {
    for (const offset of meant) if (suspected[partition]?.has(offset)) caught++;
  });
  const honest = totalOf(truth.records[stream]).accepted - catchable;
  const falselySuspected = suspected.reduce((total, partition) => total + partition.size, 0) - caught;
  return {
    catchable,
    caught,
    catchRate: catchable === 0 ? 1 : caught / catchable,
    honest,
    falselySuspected,
    falseRate: honest === 0 ? 0 : falselySuspected / honest,
  };
};

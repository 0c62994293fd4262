/** What a reader of committed records does not see: a fetch brings it all the same, with a list of the transactions that were aborted. */
import { RecordReader } from './record-reader.ts';
import { type Fault, faultAt, type OpenBatch } from './record-set.ts';

export interface AbortedTransaction {
  producerId: string;
  firstOffset: string;
}

/**
 * Without the batches of aborted transactions and those that end transactions, up to one of the latter that cannot be read: what
 * follows it may or may not be seen.
 */
export function visibleBatches(
  batches: readonly OpenBatch[],
  aborted: readonly AbortedTransaction[],
): { visible: OpenBatch[]; fault: Fault | null } {
  const coming = aborted
    .map(({ producerId, firstOffset }) => ({ producerId, first: Number(firstOffset) }))
    .sort((a, b) => a.first - b.first);
  const aborting = new Set<string>();
  const visible: OpenBatch[] = [];
  for (const batch of batches) {
    while (coming.length > 0 && coming[0].first <= batch.lastOffset) aborting.add(coming.shift()?.producerId ?? '');
    const { transaction } = batch;
    if (!batch.isControl) {
      if (transaction === null || !aborting.has(transaction)) visible.push(batch);
    } else if (transaction !== null) {
      try {
        if (endsAborted(batch)) aborting.delete(transaction);
      } catch (error) {
        return { visible, fault: faultAt(batch.baseOffset, error) };
      }
    }
  }
  return { visible, fault: null };
}

/** Key of a control record: version, then type; type 0 is abort. */
function endsAborted(batch: OpenBatch): boolean {
  const reader = new RecordReader(batch);
  if (!reader.next() || reader.keyEnd - reader.keyStart < 4) return false;
  return batch.bytes[reader.keyStart + 2] === 0 && batch.bytes[reader.keyStart + 3] === 0;
}

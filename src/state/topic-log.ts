/** One task's records in its partition of the state topic, which it may share with others: what reading alone can do. */

import { StreamError } from '../errors.ts';
import type { Commit, LogRead } from '../topology/types.ts';
import { type FoldedSegment, LogFold } from './log-fold.ts';
import type { StateTopic } from './state-topic.ts';
import type { LogRecord, RecordCodec } from './topic-records.ts';

const TOMBSTONES_A_BATCH = 5000;

/** What counted when a claim was made. */
export interface Restorable {
  segments: readonly FoldedSegment[];
  nextSeq: number;
  /** Offset of the claim: nothing from there on. */
  until: number;
}

export class TopicLog {
  readonly topic: StateTopic;
  readonly partition: number;
  readonly #task: string;
  readonly #codec: RecordCodec;

  constructor(topic: StateTopic, partition: number, { task, codec }: { task: string; codec: RecordCodec }) {
    this.topic = topic;
    this.partition = partition;
    this.#task = task;
    this.#codec = codec;
  }

  /**
   * The task's records with from ≤ offset < to; others' are known by their keys, and their values are not looked at. `told` hears
   * of those too, fetch by fetch. Rejects with `state_newer_format`.
   */
  async *records(from: number, to: number, told?: (read: LogRead) => void): AsyncGenerator<{ offset: number; record: LogRecord }, void> {
    if (from >= to) return;
    let bytes = 0;
    for await (const list of this.topic.read(this.partition, from, to)) {
      for (const stored of list) {
        bytes += stored.value?.length ?? 0;
        const record = this.#codec.read(stored);
        if (record !== null) yield { offset: stored.offset, record };
      }
      const last = list.at(-1);
      if (last) told?.({ bytes, share: (last.offset + 1 - from) / (to - from) });
    }
  }

  /** The offset of the first claim with from ≤ offset < to. */
  async firstClaim(from: number, to: number): Promise<number | null> {
    if (from >= to) return null;
    for await (const list of this.topic.read(this.partition, from, to)) {
      const claim = list.find((record) => this.#codec.isClaim(record));
      if (claim) return claim.offset;
    }
    return null;
  }

  /** The commits from number `first` on; all of them, or it rejects with `state_corrupt`, or `claim_lost` when a later owner replaced them. */
  async *commits({ segments, nextSeq, until }: Restorable, first: number): AsyncGenerator<Commit, void> {
    const fold = LogFold.at(segments[0].firstSeq);
    for await (const { offset, record } of this.records(segments[0].claim, until)) {
      const counted = fold.add(offset, record);
      if (fold.broken !== null) throw await this.damaged(fold.broken, until + 1);
      if (counted && counted.seq >= first) yield counted.commit;
    }
    if (fold.nextSeq !== nextSeq) throw await this.damaged(`commits ${fold.nextSeq} to ${nextSeq} are missing`, until + 1);
  }

  /** A later owner, from offset `since` on, may have replaced what was read while it was read: then nothing is damaged. */
  async damaged(why: string, since: number): Promise<StreamError> {
    const claim = await this.firstClaim(since, await this.topic.end(this.partition));
    if (claim !== null) {
      return new StreamError('claim_lost', `${this.#task}: a later owner, at offset ${claim}, replaced the state while it was read.`);
    }
    return new StreamError(
      'state_corrupt',
      `The state of ${this.#task} in partition ${this.partition} of the state topic: ${why}. The topic must be compacted, never deleted from; ` +
        'to begin anew use another GROUP_ID and an empty state topic: all is then counted again from the first retained record.',
    );
  }

  /** Gives tombstones to all that has none between the two offsets, leftovers of earlier owners included. */
  async sweep(from: number, to: number): Promise<void> {
    const keys = new Map<string, Uint8Array>();
    for await (const list of this.topic.read(this.partition, from, to)) {
      for (const record of list) {
        if (!this.#codec.owns(record)) continue;
        const name = Buffer.from(record.key).toString('latin1');
        if (record.value === null) keys.delete(name);
        else keys.set(name, new Uint8Array(record.key));
      }
    }
    const tombstones = [...keys.values()].map((key) => ({ key, value: null }));
    for (let i = 0; i < tombstones.length; i += TOMBSTONES_A_BATCH) {
      await this.topic.append(this.partition, () => tombstones.slice(i, i + TOMBSTONES_A_BATCH));
    }
  }
}

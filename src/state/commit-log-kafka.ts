/**
 * The commit log of one task in a partition of the state topic, which it may share with others. A claim is a record; its
 * offset names it. What counts is decided by log-fold.ts from the records alone, so every reader finds the same.
 */

import { StreamError } from '../errors.ts';
import type { Claim, Commit, CommitLog, StateHeader } from '../topology/types.ts';
import { type FoldedSegment, LogFold } from './log-fold.ts';
import type { StateLogger, StateRecord, StateTopic } from './state-topic.ts';
import type { TopicCopy } from './topic-copy.ts';
import { RecordCodec } from './topic-records.ts';

const TOMBSTONES_A_BATCH = 5000;

/** Where a task's log lies. */
export interface TopicPlace {
  topic: StateTopic;
  partition: number;
  /** Null: restores read the topic. */
  copy: TopicCopy | null;
}

/** What counted when a claim was made. */
interface Restorable {
  segments: readonly FoldedSegment[];
  nextSeq: number;
  /** Offset of the claim: nothing from there on. */
  until: number;
}

export class KafkaCommitLog implements CommitLog {
  readonly #task: string;
  readonly #codec: RecordCodec;
  readonly #logger: StateLogger;
  readonly #find: () => Promise<TopicPlace>;
  #place: TopicPlace | null = null;
  /** What counts of the records before `#folded`; null while unknown. */
  #fold: LogFold | null = null;
  #folded = 0;
  /** Offset of our claim; -1 without one. */
  #claim = -1;
  #header: StateHeader | null = null;
  /** Up to here no later claim was there. */
  #watched = 0;
  /** Whether all that was ever appended here is known to count, or to be absent. */
  #certain = false;
  /** The claim under which a snapshot is under way; -1 for none. */
  #snapshot = -1;
  /** Everything of this task before this offset has its tombstone. */
  #swept = 0;
  #appending: Promise<unknown> = Promise.resolve();

  /** `find` says where the log is; called before the first claim. */
  constructor(task: string, find: () => Promise<TopicPlace>, logger: StateLogger) {
    this.#task = task;
    this.#find = find;
    this.#logger = logger;
    this.#codec = new RecordCodec(task);
  }

  claim(header: StateHeader): Promise<Claim> {
    return this.#inTurn(async () => {
      this.#place ??= await this.#find();
      const { topic, partition } = this.#place;
      const ours = this.#certain ? this.#claim : -1;
      this.#certain = false;
      this.#snapshot = -1;
      const claim = await topic.append(partition, () => [this.#codec.claim(header)]);
      const fold = await this.#foldTo(claim);
      const current = ours >= 0 && fold.claim === ours;
      const previous = fold.segments.at(-1)?.header ?? null;
      const restorable = { segments: fold.segments.map((segment) => ({ ...segment })), nextSeq: fold.nextSeq, until: claim };
      this.#owns(claim, header);
      return { id: claim + 1, current, previous: structuredClone(previous), commits: () => this.#commits(restorable) };
    });
  }

  append(commit: Commit): Promise<void> {
    return this.#inTurn(async () => {
      const fold = this.#owned();
      if (fold.position !== null && commit.from !== fold.position) {
        throw new StreamError('unexpected', `${this.#task}: a commit from ${commit.from}, but the position is ${fold.position}.`);
      }
      const seq = fold.nextSeq;
      const chunks = this.#codec.chunksOf(commit);
      this.#certain = false;
      let offset = -1;
      for (let chunk = 0; chunk < chunks; chunk++) {
        offset = await this.#write(() => this.#codec.chunk(this.#claim, seq, commit, chunk));
      }
      const counted = fold.count(seq, offset, commit);
      this.#folded = offset + 1;
      this.#certain = true;
      await this.#place?.copy?.add(counted);
    });
  }

  beginSnapshot(): Promise<void> {
    return this.#inTurn(async () => {
      this.#owned();
      const { topic, partition } = this.#place as TopicPlace;
      // Looked first: a claim by somebody who has lost the log already would only disturb its owner.
      await this.#watch(await topic.end(partition));
      this.#certain = false;
      const header = this.#header as StateHeader;
      const claim = await this.#write(() => this.#codec.claim(header));
      this.#owns(claim, header);
      this.#snapshot = claim;
    });
  }

  /** Commits may be appended meanwhile: only the mark waits for its turn. */
  async endSnapshot(): Promise<void> {
    const claim = this.#claim;
    this.#refuseUnlessBegun(claim);
    await this.#appending;
    const fold = this.#refuseUnlessBegun(claim);
    const segment = fold.segments.at(-1);
    if (segment?.claim !== claim) throw new StreamError('unexpected', `${this.#task}: a snapshot without commits.`);
    const { nextSeq } = fold;
    await this.#checkSnapshot({ segments: [segment], nextSeq, until: this.#folded }, fold.position);
    await this.#inTurn(async () => {
      this.#refuseUnlessBegun(claim);
      this.#certain = false;
      this.#folded = (await this.#write(() => this.#codec.complete(claim, segment.firstSeq, nextSeq))) + 1;
      this.#certain = true;
      this.#snapshot = -1;
      fold.completed();
      await this.#place?.copy?.completed(claim);
    });
    await this.#sweep(claim);
  }

  sizeBytes(): number {
    return (this.#fold?.segments ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async close(): Promise<void> {
    this.#certain = false;
    await this.#place?.copy?.close();
  }

  /** One after the other, whatever became of the one before. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#appending.then(action);
    this.#appending = turn.catch(() => undefined);
    return turn;
  }

  #owned(): LogFold {
    if (this.#fold !== null && this.#certain) return this.#fold;
    throw new StreamError('claim_lost', `${this.#task}: the last append failed, or there was no claim; claim again.`);
  }

  #refuseUnlessBegun(claim: number): LogFold {
    const fold = this.#owned();
    if (claim >= 0 && this.#snapshot === claim && this.#claim === claim) return fold;
    throw new StreamError('claim_lost', `${this.#task}: no snapshot was begun under this claim.`);
  }

  #owns(claim: number, header: StateHeader): void {
    this.#header = structuredClone(header);
    this.#claim = claim;
    this.#fold?.claimed(claim, this.#header);
    this.#folded = claim + 1;
    this.#watched = claim + 1;
    this.#certain = true;
  }

  /** Returns the record's offset, having seen that no later claim came before it. */
  async #write(make: () => StateRecord): Promise<number> {
    const { topic, partition } = this.#place as TopicPlace;
    const offset = await topic.append(partition, () => [make()]);
    await this.#watch(offset);
    this.#watched = offset + 1;
    return offset;
  }

  /** Rejects with `claim_lost` when there is a claim between ours and `until`. */
  async #watch(until: number): Promise<void> {
    const { topic, partition } = this.#place as TopicPlace;
    if (this.#watched >= until) return;
    for await (const records of topic.read(partition, this.#watched, until)) {
      for (const record of records) {
        if (!this.#codec.isClaim(record)) continue;
        this.#certain = false;
        throw new StreamError('claim_lost', `${this.#task}: a claim at offset ${record.offset} came after ours, ${this.#claim}.`);
      }
    }
    this.#watched = until;
  }

  /** What counts of all records before `until`. The copy and what is in memory are believed only as far as the topic goes on from them. */
  async #foldTo(until: number): Promise<LogFold> {
    // A topic that ends before what was read of it is another one.
    if (this.#folded > until) this.#fold = null;
    if (this.#fold === null) await this.#loadCopy(until);
    if (this.#fold !== null) {
      await this.#readOn(until);
      if (this.#fold.broken === null) return this.#fold;
      this.#logger.warn(
        { task: this.#task, why: this.#fold.broken },
        'the state topic does not go on from what is known here, reading all of it',
      );
    }
    await this.#place?.copy?.discard();
    this.#fold = new LogFold();
    this.#folded = 0;
    await this.#readOn(until);
    if (this.#fold.broken === null) return this.#fold;
    const why = this.#fold.broken;
    this.#fold = null;
    throw await this.#damaged(why, until + 1);
  }

  async #loadCopy(until: number): Promise<void> {
    const { copy, topic, partition } = this.#place as TopicPlace;
    const found = await copy?.load();
    if (!found || found.offset >= until) return;
    const { fold, offset } = found;
    for await (const records of topic.read(partition, offset, offset + 1)) {
      for (const record of records) {
        const known = record.offset === offset ? this.#codec.read(record) : null;
        if (known?.kind !== 'chunk' || known.claim !== fold.claim || known.seq !== fold.nextSeq - 1) continue;
        this.#fold = fold;
        this.#folded = offset + 1;
        return;
      }
    }
    this.#logger.info({ task: this.#task, offset }, 'the local copy of the state ends in a commit that the topic no longer holds');
  }

  /** Feeds the fold, and the copy with what counts. */
  async #readOn(until: number): Promise<void> {
    const { copy, topic, partition } = this.#place as TopicPlace;
    const fold = this.#fold as LogFold;
    if (this.#folded >= until) return;
    for await (const records of topic.read(partition, this.#folded, until)) {
      for (const stored of records) {
        const record = this.#codec.read(stored);
        this.#folded = stored.offset + 1;
        if (record === null) continue;
        const { complete } = fold;
        const counted = fold.add(stored.offset, record);
        if (counted && copy && fold.broken === null) await copy.add(counted);
        if (fold.complete !== complete) await copy?.completed(fold.complete);
      }
    }
    this.#folded = until;
  }

  async *#commits(restorable: Restorable): AsyncGenerator<Commit, void> {
    const { segments, nextSeq } = restorable;
    let next = segments[0]?.firstSeq ?? nextSeq;
    const copy = this.#place?.copy;
    try {
      if (copy && next < nextSeq) {
        for await (const { seq, commit } of copy.commits(segments, next)) {
          if (seq >= nextSeq) break;
          next = seq + 1;
          yield commit;
        }
      }
    } catch (err) {
      this.#logger.warn({ err, task: this.#task, commit: next }, 'the local copy of the state ends early, the rest is read from the topic');
    }
    if (next < nextSeq) yield* this.#commitsOfTopic(restorable, next);
  }

  async *#commitsOfTopic({ segments, nextSeq, until }: Restorable, first: number): AsyncGenerator<Commit, void> {
    const { topic, partition } = this.#place as TopicPlace;
    const fold = LogFold.at(segments[0].firstSeq);
    for await (const records of topic.read(partition, segments[0].claim, until)) {
      for (const stored of records) {
        const record = this.#codec.read(stored);
        const counted = record && fold.add(stored.offset, record);
        if (fold.broken !== null) throw await this.#damaged(fold.broken, until + 1);
        if (counted && counted.seq >= first) yield counted.commit;
      }
    }
    if (fold.nextSeq !== nextSeq) throw await this.#damaged(`commits ${fold.nextSeq} to ${nextSeq} are missing`, until + 1);
  }

  async #checkSnapshot(restorable: Restorable, position: number | null): Promise<void> {
    let end: number | null = null;
    for await (const { to } of this.#commitsOfTopic(restorable, 0)) end = to;
    if (end !== position) throw await this.#damaged(`the snapshot ends at ${end}, not ${position}`, restorable.until);
  }

  /** A later owner, from offset `since` on, may have replaced what we read while we read it: then nothing is damaged. */
  async #damaged(why: string, since: number): Promise<StreamError> {
    const { topic, partition } = this.#place as TopicPlace;
    for await (const records of topic.read(partition, since, await topic.end(partition))) {
      if (records.some((record) => this.#codec.isClaim(record))) {
        return new StreamError('claim_lost', `${this.#task}: a later owner replaced the state while it was read.`);
      }
    }
    return new StreamError(
      'state_corrupt',
      `The state of ${this.#task} in partition ${partition} of the state topic: ${why}. The topic must be compacted, never deleted from; ` +
        'to begin anew use another GROUP_ID and an empty state topic: all is then counted again from the first retained record.',
    );
  }

  /** Gives tombstones to what a complete snapshot replaced, leftovers of earlier owners included. */
  async #sweep(claim: number): Promise<void> {
    const { topic, partition } = this.#place as TopicPlace;
    const keys = new Map<string, Uint8Array>();
    for await (const records of topic.read(partition, this.#swept, claim)) {
      for (const record of records) {
        if (!this.#codec.owns(record)) continue;
        const name = Buffer.from(record.key).toString('latin1');
        if (record.value === null) keys.delete(name);
        else keys.set(name, new Uint8Array(record.key));
      }
    }
    for (let left = [...keys.values()]; left.length > 0; left = left.slice(TOMBSTONES_A_BATCH)) {
      const batch = left.slice(0, TOMBSTONES_A_BATCH).map((key) => ({ key, value: null }));
      await topic.append(partition, () => batch);
    }
    this.#swept = claim;
  }
}

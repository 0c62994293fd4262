/**
 * The commit log of one task in a partition of the state topic, which it may share with others. A claim is a record; its
 * offset names it. What counts is decided by log-fold.ts from the records alone, so every reader finds the same.
 */

import { StreamError } from '../errors.ts';
import type { Claim, Commit, CommitLog, LogRead, StateHeader } from '../topology/types.ts';
import { LogFold } from './log-fold.ts';
import type { StateLogger, StateRecord, StateTopic } from './state-topic.ts';
import type { TopicCopy } from './topic-copy.ts';
import { type Restorable, TopicLog } from './topic-log.ts';
import type { RecordCodec } from './topic-records.ts';

/** Where a task's log lies. */
export interface TopicPlace {
  topic: StateTopic;
  partition: number;
  /** Null: restores read the topic. */
  copy: TopicCopy | null;
}

export class KafkaCommitLog implements CommitLog {
  readonly #task: string;
  readonly #codec: RecordCodec;
  readonly #logger: StateLogger;
  readonly #find: () => Promise<TopicPlace>;
  #copy: TopicCopy | null = null;
  /** Null before the first claim. */
  #records: TopicLog | null = null;
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
  constructor(codec: RecordCodec, find: () => Promise<TopicPlace>, logger: StateLogger) {
    this.#task = codec.task;
    this.#find = find;
    this.#logger = logger;
    this.#codec = codec;
  }

  claim(header: StateHeader, told?: (read: LogRead) => void): Promise<Claim> {
    return this.#inTurn(async () => {
      this.#records ??= await this.#found();
      const { topic, partition } = this.#records;
      const ours = this.#certain ? this.#claim : -1;
      this.#certain = false;
      this.#snapshot = -1;
      const claim = await topic.append(partition, () => [this.#codec.claim(header)]);
      const fold = await this.#foldTo(claim, told);
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
      const link = { claim: this.#claim, seq: fold.nextSeq, before: fold.chain ?? 0 };
      const chunks = this.#codec.chunksOf(commit);
      this.#certain = false;
      let offset = -1;
      for (let chunk = 0; chunk < chunks; chunk++) {
        offset = await this.#write(() => this.#codec.chunk(link, commit, chunk));
      }
      const counted = fold.count(link, offset, commit);
      this.#folded = offset + 1;
      this.#certain = true;
      await this.#copy?.add(counted);
    });
  }

  beginSnapshot(): Promise<void> {
    return this.#inTurn(async () => {
      this.#owned();
      const { topic, partition } = this.#log;
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
      await this.#copy?.completed(claim);
    });
    await this.#log.sweep(this.#swept, claim);
    this.#swept = claim;
  }

  sizeBytes(): number {
    return (this.#fold?.segments ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async close(): Promise<void> {
    this.#certain = false;
    await this.#copy?.close();
  }

  get #log(): TopicLog {
    return this.#records as TopicLog;
  }

  async #found(): Promise<TopicLog> {
    const { topic, partition, copy } = await this.#find();
    this.#copy = copy;
    return new TopicLog(topic, partition, { task: this.#task, codec: this.#codec });
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
    const { topic, partition } = this.#log;
    const offset = await topic.append(partition, () => [make()]);
    await this.#watch(offset);
    this.#watched = offset + 1;
    return offset;
  }

  /** Rejects with `claim_lost` when there is a claim between ours and `until`. */
  async #watch(until: number): Promise<void> {
    const later = await this.#log.firstClaim(this.#watched, until);
    if (later !== null) {
      this.#certain = false;
      throw new StreamError('claim_lost', `${this.#task}: a claim at offset ${later} came after ours, ${this.#claim}.`);
    }
    this.#watched = Math.max(this.#watched, until);
  }

  /** What counts of all records before `until`. The copy and what is in memory are believed only as far as the topic goes on from them. */
  async #foldTo(until: number, told?: (read: LogRead) => void): Promise<LogFold> {
    // A topic that ends before what was read of it is another one.
    if (this.#folded > until) this.#fold = null;
    if (this.#fold === null) await this.#loadCopy(until);
    if (this.#fold !== null) {
      await this.#readOn(until, told);
      if (this.#fold.broken === null) return this.#fold;
      this.#logger.warn(
        { task: this.#task, why: this.#fold.broken },
        'the state topic does not go on from what is known here, reading all of it',
      );
    }
    await this.#copy?.discard();
    this.#fold = new LogFold();
    this.#folded = 0;
    await this.#readOn(until, told);
    if (this.#fold.broken === null) return this.#fold;
    const why = this.#fold.broken;
    this.#fold = null;
    await this.#copy?.discard();
    throw await this.#log.damaged(why, until + 1);
  }

  async #loadCopy(until: number): Promise<void> {
    const found = await this.#copy?.load();
    if (!found || found.offset >= until) return;
    const { fold, offset, before } = found;
    for await (const { record } of this.#log.records(offset, offset + 1)) {
      if (record.kind !== 'chunk' || record.claim !== fold.claim || record.seq !== fold.nextSeq - 1) continue;
      // The chain up to here is that of the topic, so every commit before is; of this one its last chunk tells.
      if (record.before !== before || !endsIn(found.last.changes, record.bytes)) continue;
      this.#fold = fold;
      this.#folded = offset + 1;
      return;
    }
    this.#logger.info({ task: this.#task, offset }, 'the local copy of the state ends in a commit that the topic does not hold, or not so');
  }

  /** Feeds the fold, and the copy with what counts. */
  async #readOn(until: number, told?: (read: LogRead) => void): Promise<void> {
    const fold = this.#fold as LogFold;
    for await (const { offset, record } of this.#log.records(this.#folded, until, told)) {
      const { complete } = fold;
      const counted = fold.add(offset, record);
      this.#folded = offset + 1;
      // Also while something is missing: what a snapshot replaced may be compacted, and its commits are what a copy needs.
      if (counted) await this.#copy?.add(counted);
      if (fold.complete !== complete) await this.#copy?.completed(fold.complete);
    }
    this.#folded = until;
  }

  async *#commits(restorable: Restorable): AsyncGenerator<Commit, void> {
    const { segments, nextSeq } = restorable;
    let next = segments[0]?.firstSeq ?? nextSeq;
    try {
      if (this.#copy && next < nextSeq) {
        for await (const { seq, commit } of this.#copy.commits(segments, next)) {
          if (seq >= nextSeq) break;
          next = seq + 1;
          yield commit;
        }
      }
    } catch (err) {
      this.#logger.warn({ err, task: this.#task, commit: next }, 'the local copy of the state ends early, the rest is read from the topic');
    }
    if (next < nextSeq) yield* this.#log.commits(restorable, next);
  }

  async #checkSnapshot(restorable: Restorable, position: number | null): Promise<void> {
    let end: number | null = null;
    for await (const { to } of this.#log.commits(restorable, 0)) end = to;
    if (end !== position) throw await this.#log.damaged(`the snapshot ends at ${end}, not ${position}`, restorable.until);
  }
}

const endsIn = (bytes: Uint8Array, end: Uint8Array): boolean => Buffer.compare(bytes.subarray(-end.length || bytes.length), end) === 0;

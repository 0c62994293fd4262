/**
 * Which records of a task's log count. Pure: what it finds depends on the records alone.
 *
 * A commit counts iff its claim is the latest before its last chunk, its sequence number is the next, and it begins at the
 * position. Sequence numbers run on over all claims, so what is missing is noticed; copies of a commit are void by theirs. What
 * is missing before a complete snapshot is not: compaction removes in any order what a snapshot replaced.
 */

import type { Commit, StateHeader } from '../topology/types.ts';
import { type ChunkRecord, chained, type LogRecord } from './topic-records.ts';

/** The commits that count under one claim. */
export interface FoldedSegment {
  claim: number;
  header: StateHeader;
  firstSeq: number;
  bytes: number;
}

export interface CountedCommit {
  segment: FoldedSegment;
  seq: number;
  /** The chain of the commits before it; null where its record does not say. */
  before: number | null;
  /** Of its last chunk. */
  offset: number;
  commit: Commit;
}

interface Chunks {
  seq: number;
  parts: (Uint8Array | null)[];
}

export class LogFold {
  /** Offset of the latest claim; -1 before the first. */
  claim = -1;
  nextSeq = 0;
  position: number | null = null;
  /** Of the commits that count; null while only their end is known. */
  chain: number | null = 0;
  /** From the latest complete snapshot on, oldest first; only those with commits. */
  segments: FoldedSegment[] = [];
  /** Claim of the latest complete snapshot; -1 for none. */
  complete = -1;
  /** What is missing or damaged, and not made good by a later snapshot. */
  broken: string | null = null;
  #header: StateHeader | null = null;
  #chunks: Chunks | null = null;
  #whole = true;

  /** As if everything before the commit `nextSeq` had been seen. */
  static at(nextSeq: number): LogFold {
    const fold = new LogFold();
    fold.nextSeq = nextSeq;
    fold.chain = null;
    return fold;
  }

  /** Returns the commit that this record makes count. */
  add(offset: number, record: LogRecord): CountedCommit | null {
    if (record.kind === 'claim') this.claimed(offset, record.header);
    else if (record.kind === 'complete') this.#complete(record, offset);
    else if (record.kind === 'chunk') return this.#chunk(record, offset);
    else this.#break(`the record at offset ${offset} does not match its checksum`);
    return null;
  }

  claimed(claim: number, header: StateHeader): void {
    this.claim = claim;
    this.#header = header;
    this.#chunks = null;
    this.#whole = true;
  }

  /** Counts a commit under the latest claim. The chain is what its record says, wherever the reader began: so none after a bare one. */
  count({ seq, before }: { seq: number; before: number | null }, offset: number, commit: Commit): CountedCommit {
    let segment = this.segments.at(-1);
    if (segment?.claim !== this.claim) {
      segment = { claim: this.claim, header: this.#header as StateHeader, firstSeq: seq, bytes: 0 };
      this.segments.push(segment);
    }
    segment.bytes += commit.changes.length;
    this.position = commit.to;
    this.nextSeq = seq + 1;
    this.chain = before === null ? null : chained(before, commit);
    return { segment, seq, before, offset, commit };
  }

  /** Nothing before the latest claim is needed any more. */
  completed(): void {
    this.complete = this.claim;
    this.segments = this.segments.slice(-1);
    this.broken = null;
  }

  #chunk(record: ChunkRecord, offset: number): CountedCommit | null {
    const { claim, seq, chunk, chunks, from, to, before } = record;
    if (claim > this.claim) this.#break(`the claim at offset ${claim} is missing`);
    if (claim !== this.claim) return null;
    const first = this.segments.at(-1)?.claim !== claim;
    if (!first && seq < this.nextSeq) return null;
    if (this.#chunks === null || seq > this.#chunks.seq) this.#chunks = { seq, parts: Array(chunks).fill(null) };
    const { parts } = this.#chunks;
    if (seq < this.#chunks.seq || chunks !== parts.length) return null;
    parts[chunk] ??= record.bytes;
    if (parts.includes(null)) return null;
    this.#chunks = null;
    if (seq !== this.nextSeq) {
      this.#break(`commit ${seq} follows where ${this.nextSeq} should`);
      if (!first) this.#whole = false;
    } else if (this.position !== null && from !== this.position) {
      // An owner begins where it saw the log end: another view of that is damage.
      if (!first) return null;
      this.#break(`commit ${seq} is from ${from}, the position is ${this.position}`);
    } else if (this.chain !== null && before !== null && before !== this.chain) {
      this.#break(`what was read before commit ${seq} is not what its owner had`);
      if (!first) this.#whole = false;
    }
    const changes = parts.length === 1 ? record.bytes : Buffer.concat(parts as Uint8Array[]);
    return this.count({ seq, before }, offset, { from, to, changes });
  }

  #complete({ claim, first, end }: LogRecord & { kind: 'complete' }, offset: number): void {
    if (claim !== this.claim) return;
    const segment = this.segments.at(-1);
    if (segment?.claim === claim && this.#whole && segment.firstSeq === first && end <= this.nextSeq) this.completed();
    else this.#break(`the snapshot marked complete at offset ${offset} is not whole`);
  }

  #break(why: string): void {
    this.broken ??= why;
  }
}

/**
 * The records of `exposure-stream.state`, binary. Key: format, task, kind, then what makes it the only one of its kind: no
 * key is ever written twice with a value, so compaction removes only what a tombstone names. Value: CRC-32 of key and
 * payload, then the payload.
 */

import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { StreamError } from '../errors.ts';
import type { Commit, StateHeader } from '../topology/types.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { StateRecord, StoredRecord } from './state-topic.ts';

const FORMAT = 1;
/** `bare`: a chunk as the first version wrote it, without its chain. */
const KIND = { claim: 0, bare: 1, complete: 2, chunk: 3 } as const;
const CRC_BYTES = 4;
const NONCE_BYTES = 8;
/** Of a commit that go into one record: below the limit of a batch on a broker with default settings, 1 MiB. */
export const CHUNK_BYTES = 900_000;

/** A piece of a commit. */
export interface ChunkRecord {
  kind: 'chunk';
  claim: number;
  seq: number;
  chunk: number;
  chunks: number;
  from: number;
  to: number;
  /** The chain of all commits that counted before this one (`chained`); null where the first version wrote it. */
  before: number | null;
  bytes: Uint8Array;
}

/** Where a commit stands in its log. */
export interface Link {
  claim: number;
  seq: number;
  before: number;
}

/** A checksum over the commits of a log: of two logs that agree in it, what came before is the same. 0 before the first. */
export const chained = (before: number, { changes }: Commit): number => crc32(changes, before);

export type LogRecord =
  | { kind: 'claim'; header: StateHeader }
  | ChunkRecord
  /** The commits `first` to `end` (exclusive) under this claim are enough to restore from. */
  | { kind: 'complete'; claim: number; first: number; end: number }
  | { kind: 'corrupt' };

/** Writes and reads the records of one task. */
export class RecordCodec {
  readonly task: string;
  readonly #prefix: Uint8Array;
  readonly #chunkBytes: number;
  /** Makes the keys of every attempt differ. */
  #attempt = 0;

  constructor(task: string, chunkBytes = CHUNK_BYTES) {
    this.task = task;
    this.#chunkBytes = chunkBytes;
    const out = new ByteWriter(64);
    out.u8(FORMAT);
    out.string(task);
    this.#prefix = out.take();
  }

  claim(header: StateHeader): StateRecord {
    const nonce = randomBytes(NONCE_BYTES);
    return sealed(
      this.#key(KIND.claim, (out) => out.bytes(nonce)),
      [new TextEncoder().encode(JSON.stringify(header))],
    );
  }

  /** How many records a commit is cut into. */
  chunksOf({ changes }: Commit): number {
    return Math.max(1, Math.ceil(changes.length / this.#chunkBytes));
  }

  chunk({ claim, seq, before }: Link, commit: Commit, chunk: number): StateRecord {
    const key = this.#key(KIND.chunk, (out) => {
      for (const part of [claim, seq, chunk, this.#attempt++]) out.varint(part);
    });
    const head = new ByteWriter(32);
    for (const part of [this.chunksOf(commit), commit.from, commit.to, before]) head.varint(part);
    return sealed(key, [head.take(), commit.changes.subarray(chunk * this.#chunkBytes, (chunk + 1) * this.#chunkBytes)]);
  }

  complete(claim: number, first: number, end: number): StateRecord {
    const key = this.#key(KIND.complete, (out) => {
      for (const part of [claim, this.#attempt++]) out.varint(part);
    });
    const payload = new ByteWriter(32);
    for (const part of [first, end]) payload.varint(part);
    return sealed(key, [payload.take()]);
  }

  owns({ key }: StateRecord): boolean {
    const prefix = this.#prefix;
    return key.length > prefix.length && Buffer.compare(key.subarray(0, prefix.length), prefix) === 0;
  }

  isClaim(record: StateRecord): boolean {
    return record.value !== null && this.owns(record) && record.key[this.#prefix.length] === KIND.claim;
  }

  /** Null for records of others and tombstones. Throws `state_newer_format`. */
  read({ key, value, offset }: StoredRecord): LogRecord | null {
    if (value === null || !this.owns({ key, value })) return null;
    const payload = opened(key, value);
    if (payload === null) return { kind: 'corrupt' };
    const name = new ByteReader(key, this.#prefix.length);
    const body = new ByteReader(payload);
    const kind = name.u8();
    if (kind === KIND.claim) return { kind: 'claim', header: JSON.parse(new TextDecoder().decode(payload)) as StateHeader };
    if (kind === KIND.complete) return { kind: 'complete', claim: name.varint(), first: body.varint(), end: body.varint() };
    if (kind !== KIND.chunk && kind !== KIND.bare) {
      throw new StreamError(
        'state_newer_format',
        `The state topic, offset ${offset}: a record of kind ${kind}, which this version does not know.`,
      );
    }
    const [claim, seq, chunk] = [name.varint(), name.varint(), name.varint()];
    const [chunks, from, to] = [body.varint(), body.varint(), body.varint()];
    const before = kind === KIND.chunk ? body.varint() : null;
    return { kind: 'chunk', claim, seq, chunk, chunks, from, to, before, bytes: body.bytes(body.remaining) };
  }

  #key(kind: number, rest: (out: ByteWriter) => void): Uint8Array {
    const out = new ByteWriter(96);
    out.bytes(this.#prefix);
    out.u8(kind);
    rest(out);
    return out.take();
  }
}

/** A record whose value vouches for its key and itself. */
export function sealed(key: Uint8Array, payload: readonly Uint8Array[]): StateRecord {
  const value = Buffer.concat([new Uint8Array(CRC_BYTES), ...payload]);
  value.writeUInt32LE(crc32(value.subarray(CRC_BYTES), crc32(key)));
  return { key, value };
}

/** The payload, null when key or value are not as they were written. */
export function opened(key: Uint8Array, value: Uint8Array): Uint8Array | null {
  if (value.length < CRC_BYTES) return null;
  const stored = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
  const payload = value.subarray(CRC_BYTES);
  return crc32(payload, crc32(key)) === stored ? payload : null;
}

/**
 * A stretch of a batch, decoded and hashed before any of it is judged: what is looked up for one record then waits in the cache
 * already when its turn comes, for the misses of a whole block overlap. They cost more than all else.
 */
import { DecodedEvent, type Decoder } from '../operators/decode.ts';
import type { NativeDecoder } from '../operators/native-decoder.ts';
import { isTied, suspectKey } from '../operators/suspect.ts';
import type { SeededHash } from '../state/hash.ts';
import type { IngestState } from './ingest-state.ts';
import { type RecordBatch, RecordView, type Stream } from './types.ts';

/** So many that their misses overlap, so few that they fit the nearest cache. */
export const BLOCK = 32;

export class HashColumns {
  readonly his = new Uint32Array(BLOCK);
  readonly los = new Uint32Array(BLOCK);

  /** What stands in the hash. */
  put(i: number, hash: SeededHash): void {
    this.his[i] = hash.hi;
    this.los[i] = hash.lo;
  }
}

export class IngestBlock {
  /** Of records 0 to `size - 1`. */
  size = 0;
  readonly views: RecordView[] = [];
  /** Valid until the next block. */
  readonly events: DecodedEvent[] = [];
  /** 0 for a record that is good; of others only the view means anything. */
  readonly reasons = new Uint8Array(BLOCK);
  readonly ids = new HashColumns();
  readonly entities = new HashColumns();
  readonly suspects = new HashColumns();
  /** 1 where there is a suspect's key. */
  readonly tied = new Uint8Array(BLOCK);
  readonly #stream: Stream;
  readonly #decoder: Decoder;
  readonly #native: NativeDecoder | null;
  readonly #hash: SeededHash;

  constructor(stream: Stream, decoder: Decoder, hash: SeededHash) {
    this.#stream = stream;
    this.#decoder = decoder;
    this.#native = decoder.native(hash, BLOCK);
    this.#hash = hash;
    for (let i = 0; i < BLOCK; i++) {
      this.views.push(new RecordView());
      this.events.push(new DecodedEvent());
    }
  }

  /** Takes the next records of a batch; false when there are none. */
  fill(batch: RecordBatch): boolean {
    let size = 0;
    while (size < BLOCK && batch.next(this.views[size])) size++;
    this.size = size;
    this.#native?.take(this.views, size);
    for (let i = 0; i < size; i++) this.reasons[i] = this.#read(i, this.views[i], this.events[i]);
    return size > 0;
  }

  /** Reads what judging will look up in these tables, so that the misses overlap. The result means nothing. */
  warm({ dedup, suspects, groups }: IngestState): number {
    const all = { from: 0, to: this.size };
    let read = dedup.warm(this.ids.his, this.ids.los, all) ^ suspects.warm(this.suspects.his, this.suspects.los, all);
    for (let i = 0; i < this.size; i++) read ^= groups.warm(this.entities.los[i]);
    return read;
  }

  /** Returns why the record is invalid, 0 when it is good. */
  #read(i: number, view: RecordView, event: DecodedEvent): number {
    const native = this.#native;
    if (native?.decode(i, view, event)) {
      native.copyHash('idHash', this.ids, i);
      native.copyHash('entityHash', this.entities, i);
      native.copyHash('suspectHash', this.suspects, i);
      this.tied[i] = isTied(this.#stream, event) ? 1 : 0;
      return this.#decoder.checkRecord(view, event);
    }
    const reason = this.#decoder.decode(view, event);
    if (reason !== 0) return reason;
    const hash = this.#hash;
    const { eventId, entityId } = event;
    hash.bytes(eventId.bytes, eventId.start, eventId.end);
    this.ids.put(i, hash);
    hash.bytes(entityId.bytes, entityId.start, entityId.end);
    this.entities.put(i, hash);
    this.tied[i] = suspectKey(this.#stream, event, hash) ? 1 : 0;
    if (this.tied[i] === 1) this.suspects.put(i, hash);
    return reason;
  }
}

/**
 * Memory of large responses that is used again. It lies outside V8's heap, and V8 collects all of its heap, on every core it finds,
 * whenever some dozens of MB have been made there: twenty times for a million records, which cost as much as judging them. Compiled
 * code sees it, where there is any: records are found and read in it.
 */

import { BYTES_AT, DecoderMemory } from '../../operators/decoder-memory.ts';

/** Smaller ones are made and forgotten. */
const LEAST_BYTES = 1 << 16;
/** Rounded up to, so that one answer fits where another was. */
const STEP_BYTES = 1 << 18;
/** What waits for its next use: no more than that, the latest. */
const MOST_WAITING_BYTES = 1 << 25;

/** Room for a response in memory that nothing else is in. */
interface Room {
  memory: ArrayBufferLike;
  at: number;
  byteLength: number;
  /** How many hold it, where it was held at all: others are never used again, only collected. */
  holders: number;
}

export class ResponsePool {
  readonly #waiting: Room[] = [];
  #waitingBytes = 0;
  readonly #rooms = new WeakMap<ArrayBufferLike, Room>();

  /** Room for a response, whatever is in it. */
  take(bytes: number): Buffer {
    if (bytes < LEAST_BYTES) return Buffer.allocUnsafe(bytes);
    const found = this.#waiting.findLastIndex(({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes + STEP_BYTES);
    const { memory, at } = found >= 0 ? this.#takeWaiting(found) : this.#make(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES);
    return Buffer.from(memory, at, bytes);
  }

  /** Somebody reads in this memory until it calls what is returned. Another call of it does nothing. */
  hold(memory: ArrayBufferLike): () => void {
    const room = this.#rooms.get(memory);
    if (room === undefined) return nothing;
    room.holders++;
    return once(() => this.#drop(room));
  }

  #make(byteLength: number): Room {
    const decodable = DecoderMemory.make(byteLength);
    const memory = decodable?.buffer ?? new ArrayBuffer(byteLength);
    const room = { memory, at: decodable === null ? 0 : BYTES_AT, byteLength, holders: 0 };
    this.#rooms.set(memory, room);
    return room;
  }

  #takeWaiting(index: number): Room {
    const [room] = this.#waiting.splice(index, 1);
    this.#waitingBytes -= room.byteLength;
    DecoderMemory.of(room.memory)?.clear();
    return room;
  }

  #drop(room: Room): void {
    room.holders--;
    if (room.holders > 0) return;
    this.#waiting.push(room);
    this.#waitingBytes += room.byteLength;
    while (this.#waitingBytes > MOST_WAITING_BYTES) this.#waitingBytes -= this.#waiting.shift()?.byteLength ?? 0;
  }
}

const nothing = (): void => undefined;

/** Called again it does nothing. */
export function once(act: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    act();
  };
}

/** Of this process. */
export const responses = new ResponsePool();

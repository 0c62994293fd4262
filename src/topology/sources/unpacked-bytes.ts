/** Where the batches of a set are unpacked to: one behind the other, in memory that compiled code sees and that is used again. */
import { responses } from './response-pool.ts';

/** Fewer stay where they are. */
const LEAST_BYTES = 1 << 16;

export class UnpackedBytes {
  readonly #packedBytes: number;
  readonly #enoughBytes: number;
  #left: Buffer = Buffer.alloc(0);

  /** @param packedBytes of the whole set, @param enoughBytes when so many are unpacked the rest of the set is not */
  constructor(packedBytes: number, enoughBytes: number) {
    this.#packedBytes = packedBytes;
    this.#enoughBytes = enoughBytes;
  }

  /** Where the bytes of a batch lie from now on. @param packedBytes of the batch */
  put(bytes: Buffer, packedBytes: number): Buffer {
    if (this.#left.length < bytes.length) {
      // The others of the set will grow as this one did.
      const expected = Math.min(this.#enoughBytes, Math.ceil((bytes.length / packedBytes) * this.#packedBytes));
      const needed = Math.max(bytes.length, expected);
      if (needed < LEAST_BYTES) return bytes;
      this.#left = responses.take(needed);
    }
    const place = this.#left.subarray(0, bytes.length);
    place.set(bytes);
    this.#left = this.#left.subarray(bytes.length);
    return place;
  }
}

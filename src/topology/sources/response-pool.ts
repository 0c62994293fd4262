/**
 * Memory of large responses that is used again. It lies outside V8's heap, and V8 collects all of its heap, on every core it finds,
 * whenever some dozens of MB have been made there: twenty times for a million records, which cost as much as judging them.
 */

/** Smaller ones are made and forgotten. */
const LEAST_BYTES = 1 << 16;
/** Rounded up to, so that one answer fits where another was. */
const STEP_BYTES = 1 << 18;
/** What waits for its next use: no more than that, the latest. */
const MOST_WAITING_BYTES = 1 << 25;

export class ResponsePool {
  readonly #waiting: ArrayBufferLike[] = [];
  #waitingBytes = 0;
  /** How many hold the memory of a response, where it was held at all: others are never used again, only collected. */
  readonly #holders = new WeakMap<ArrayBufferLike, number>();
  readonly #made = new WeakSet<ArrayBufferLike>();

  /** Room for a response, whatever is in it. */
  take(bytes: number): Buffer {
    if (bytes < LEAST_BYTES) return Buffer.allocUnsafe(bytes);
    const found = this.#waiting.findIndex(({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes + STEP_BYTES);
    if (found >= 0) {
      const [memory] = this.#waiting.splice(found, 1);
      this.#waitingBytes -= memory.byteLength;
      return Buffer.from(memory, 0, bytes);
    }
    const memory = new ArrayBuffer(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES);
    this.#made.add(memory);
    return Buffer.from(memory, 0, bytes);
  }

  /** Somebody reads in this memory until it calls what is returned, once. */
  hold(memory: ArrayBufferLike): () => void {
    if (!this.#made.has(memory)) return nothing;
    this.#holders.set(memory, (this.#holders.get(memory) ?? 0) + 1);
    return () => this.#drop(memory);
  }

  #drop(memory: ArrayBufferLike): void {
    const left = (this.#holders.get(memory) ?? 0) - 1;
    this.#holders.set(memory, left);
    if (left > 0) return;
    this.#waiting.push(memory);
    this.#waitingBytes += memory.byteLength;
    while (this.#waitingBytes > MOST_WAITING_BYTES) this.#waitingBytes -= this.#waiting.shift()?.byteLength ?? 0;
  }
}

const nothing = (): void => undefined;

/** Of this process. */
export const responses = new ResponsePool();

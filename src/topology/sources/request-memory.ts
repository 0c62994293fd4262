/**
 * Memory of what is sent, used again once it was acknowledged. As with responses (response-pool.ts), it is not its bytes that cost,
 * but the garbage: V8 collects its whole heap whenever some dozens of MB have been made outside of it.
 */

/** Smaller ones are made and forgotten. */
const LEAST_BYTES = 1 << 14;
/** What waits for its next use: no more than that, the latest. Partials of 100,000 campaigns and copies of a second, each as a batch and as a request. */
const MOST_WAITING_BYTES = 1 << 25;

const waiting: Buffer[] = [];
let waitingBytes = 0;
/** What was made here: small buffers are pieces of one that the platform gives to all. */
const made = new WeakSet<ArrayBufferLike>();

/** Room for so many bytes, whatever is in it. */
export function requestMemory(bytes: number): Buffer {
  if (bytes < LEAST_BYTES) return Buffer.allocUnsafe(bytes);
  const room = 2 ** Math.ceil(Math.log2(bytes));
  const found = waiting.findIndex(({ length }) => length >= bytes && length <= 2 * room);
  if (found < 0) {
    const memory = Buffer.allocUnsafeSlow(room);
    made.add(memory.buffer);
    return memory.subarray(0, bytes);
  }
  const [memory] = waiting.splice(found, 1);
  waitingBytes -= memory.length;
  return memory.subarray(0, bytes);
}

/** Nobody reads in it any more: to be told once. Of memory that did not come from here nothing is kept. */
export function reuse({ buffer }: Buffer): void {
  if (!made.has(buffer)) return;
  waiting.push(Buffer.from(buffer));
  waitingBytes += buffer.byteLength;
  while (waitingBytes > MOST_WAITING_BYTES) waitingBytes -= waiting.shift()?.length ?? 0;
}

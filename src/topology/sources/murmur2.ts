/** Kafka's murmur2, as its Java client hashes keys, so that a file is split over partitions exactly as a topic would be. */

const SEED = 0x9747b28c | 0;
const M = 0x5bd1e995;

/** Signed 32-bit hash of `key[start, end)`. */
export const murmur2 = (key: Uint8Array, start = 0, end = key.length): number => {
  const length = end - start;
  let h = SEED ^ length;
  let at = start;
  for (const last = end - 3; at < last; at += 4) {
    let k = key[at] | (key[at + 1] << 8) | (key[at + 2] << 16) | (key[at + 3] << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    h = Math.imul(h, M) ^ Math.imul(k, M);
  }
  const rest = end - at;
  if (rest === 3) h ^= key[at + 2] << 16;
  if (rest >= 2) h ^= key[at + 1] << 8;
  if (rest >= 1) h = Math.imul(h ^ key[at], M);
  h = Math.imul(h ^ (h >>> 13), M);
  return h ^ (h >>> 15);
};

/** The partition that Kafka's clients give to a record with this key. */
export const partitionOf = (key: Uint8Array, start: number, end: number, partitions: number): number =>
  (murmur2(key, start, end) & 0x7fffffff) % partitions;

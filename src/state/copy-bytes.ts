/** Copying of few bytes, for which the platform is slow to begin. No view of either array is made, which would be garbage. */

/** Beyond this, bytes and texts are left to the platform; below, a plain loop is faster. */
export const SHORT_BYTES = 48;

const { copy } = Buffer.prototype;

/** The bytes from `start` to `end` (exclusive) to place `at` of another array. */
export const copyBytes = (from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void => {
  if (end - start > SHORT_BYTES) copy.call(from as Buffer, to, at, start, end);
  else for (let i = start; i < end; i++) to[at + i - start] = from[i];
};

/** The same between what two views show, four bytes at a time: of the last some may come twice. */
export const copyWords = (from: DataView, start: number, end: number, to: DataView, at: number): void => {
  const last = end - start - 4;
  for (let i = 0; i < last; i += 4) to.setInt32(at + i, from.getInt32(start + i));
  if (last >= 0) to.setInt32(at + last, from.getInt32(start + last));
  else for (let i = start; i < end; i++) to.setUint8(at + i - start, from.getUint8(i));
};

/** Numbers of several bytes, seven bits each, the lowest first. */

/**
 * Unsigned LEB128. Returns where it ends. Throws RangeError unless 0 ≤ value ≤ 2^53 − 1 and whole. Most numbers are below 2^31, and
 * those without a fraction are told from others at once.
 */
export function putVarint(buffer: Uint8Array, start: number, value: number): number {
  let rest = value | 0;
  if (rest !== value || rest < 0) return putLarge(buffer, start, value);
  let at = start;
  while (rest >= 0x80) {
    buffer[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[at] = rest;
  return at + 1;
}

function putLarge(buffer: Uint8Array, start: number, value: number): number {
  if (value < 0 || !Number.isSafeInteger(value)) throw new RangeError(`not a varint: ${value}`);
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    buffer[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  buffer[at] = rest;
  return at + 1;
}

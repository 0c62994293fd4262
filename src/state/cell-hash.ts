/** 32 bits that spread the places of cells. Times pass 2^32 in the far future, so both halves count. */
export function mix(group: number, member: number, time: number): number {
  let h =
    Math.imul(group + 1, 0x9e3779b1) ^
    Math.imul(member + 1, 0x85ebca6b) ^
    Math.imul(time | 0, 0xc2b2ae35) ^
    Math.imul((time / 4294967296) | 0, 0x27d4eb2f);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 13);
}

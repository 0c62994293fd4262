import { expect, test } from 'vitest';
import { SeededHash } from '../../src/state/hash.ts';

/** HalfSipHash-2-4 with 64 bits of output, key 00…07, message of n bytes 00, 01, …: vectors.h of github.com/veorq/SipHash. */
const REFERENCE = `
  218d1f59b9b83cc8 be552412f8387315 064f39ef7c50eb57 ce0f1a45f7060679 d5e78a175be52ea1 cb9d7c3f2f3db580 ce3e91358aa2bc25
  ff202728b07bc684 edfee820bce4858c 5b51cccc13888307 95b0469f06a6f2ee ae26333994ddcd48 7bc71f9faef5c799 5a2352d75a0c3744
  3bb1a870eae8e658 217d0bcb4e81c902 7336aad25f7bf3b5 37adc0641c4c4f6a c9b2db2b9a3e42f9 f910e48020ab363c 1bf52b0a6feea7db
  00741dc269e8b3ef e20103fa1ba776ef 4c2210e54b681d73 70741045ae3fa6f1 0c86403739714038 0d899ed8112923f0 226bf5fab81ee1b8
  2d925ffb1e0016b5 361958d52cee10f1 291aaf864898179d 863c7f155c34117c 28709d46d811626c 248477681d28f89c 8324e4d7528f9830
  f9efd4e13aea6bd8 86d67a40ec4276dc 3f6292eccca97e35 cbd92ee724d42109 368df6808d403d79 5b38c81c67c8ae4c 95ab7189d439acb3
  a91a52c025327024 5b0087c69528acea 1e30f3ad27dcb15a 697f5c9a90324ed4 495c0f995557dc38 9427202a3c29f94d a9eaa8c04ba93e3e
  eea4c1737d011218 912d568fd8f65a49 56919596b0ff5c97 02445a7998f550e1 86ec466ce71d1fb2 359569e7d289e3bc 871b05ca62bb7c96
  a1a492f942f15f1d 12ec267ff6095b6e 5d1b5ea1b231d89d d8cfb4453f92ee54 d6762890bf26e460 313563a4b7ed5cf3 f90b3ab572d46693
  2ea63c71bf326087
`
  .trim()
  .split(/\s+/);

const COUNTING = new Uint8Array(80).map((_, i) => i);
const SEED = COUNTING.slice(0, 8);

const hexOf = (lo: number, hi: number): string => {
  const out = Buffer.alloc(8);
  out.writeInt32LE(lo, 0);
  out.writeInt32LE(hi, 4);
  return out.toString('hex');
};
const hex = (hash: SeededHash): string => hexOf(hash.lo, hash.hi);

const rotated = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

/** As the algorithm's paper has it, for any number of rounds. */
function halfSipHash(message: Uint8Array, compression: number, finalization: number): string {
  const padded = Buffer.alloc((message.length & ~3) + 4);
  padded.set(message);
  padded[padded.length - 1] = message.length;
  const key = Buffer.from(SEED);
  const v = [key.readInt32LE(0), key.readInt32LE(4) ^ 0xee, 0x6c796765 ^ key.readInt32LE(0), 0x74656462 ^ key.readInt32LE(4)];
  const half = (to: number, from: number, by: number): void => {
    v[to] = (v[to] + v[from]) | 0;
    v[from] = rotated(v[from], by) ^ v[to];
  };
  const rounds = (count: number): void => {
    for (let round = 0; round < count; round++) {
      half(0, 1, 5);
      v[0] = rotated(v[0], 16);
      half(2, 3, 8);
      half(0, 3, 7);
      half(2, 1, 13);
      v[2] = rotated(v[2], 16);
    }
  };
  for (let at = 0; at < padded.length; at += 4) {
    v[3] ^= padded.readInt32LE(at);
    rounds(compression);
    v[0] ^= padded.readInt32LE(at);
  }
  v[2] ^= 0xee;
  rounds(finalization);
  const lo = v[1] ^ v[3];
  v[1] ^= 0xdd;
  rounds(finalization);
  return hexOf(lo, v[1] ^ v[3]);
}

test('the plain algorithm gives the reference vectors with 2 and 4 rounds, and what is used here with 1 and 3', () => {
  const plain = (compression: number, finalization: number): string[] =>
    REFERENCE.map((_, length) => halfSipHash(COUNTING.subarray(0, length), compression, finalization));
  expect(plain(2, 4)).toEqual(REFERENCE);
  expect(REFERENCE).toHaveLength(64);
  const hash = new SeededHash(SEED);
  const found = REFERENCE.map((_, length) => {
    hash.bytes(COUNTING, 0, length);
    return hex(hash);
  });
  expect(found).toEqual(plain(1, 3));
});

test('parts, words and a key of its own each make another hash', () => {
  const hash = new SeededHash(SEED);
  const found = new Set<string>();
  for (const [k0, k1] of [
    [0, 0],
    [1, 0],
    [0, 1],
  ]) {
    for (const words of [[], [1], [2], [1, 2], [2, 1]]) {
      for (const cut of [0, 3, 4, 8]) {
        hash.begin(k0, k1);
        for (const word of words) hash.addWord(word);
        hash.add(COUNTING, 0, cut);
        hash.add(COUNTING, cut, 8);
        hash.end();
        found.add(hex(hash));
      }
    }
  }
  expect(found.size).toBe(3 * 5 * 4);
});

test('where the bytes lie in the buffer makes no difference', () => {
  const hash = new SeededHash(SEED);
  for (let length = 0; length < 20; length++) {
    hash.bytes(COUNTING, 0, length);
    const atStart = hex(hash);
    const shifted = new Uint8Array(100).fill(255);
    shifted.set(COUNTING.subarray(0, length), 37);
    hash.bytes(shifted, 37, 37 + length);
    expect(hex(hash)).toBe(atStart);
  }
});

test('another seed gives another hash and another id, and the id does not hold the seed', () => {
  const one = new SeededHash(SEED);
  const other = new SeededHash(COUNTING.slice(1, 9));
  one.bytes(COUNTING, 0, 12);
  other.bytes(COUNTING, 0, 12);
  expect(hex(one)).not.toBe(hex(other));
  expect(one.id).toMatch(/^[0-9a-f]{16}$/);
  expect(one.id).not.toBe(other.id);
  expect(one.id).not.toContain('0001020304');
  expect(() => new SeededHash(COUNTING.slice(0, 7))).toThrow(RangeError);
});

test('two million ids that differ only in their counters do not collide', () => {
  const keys = 2_000_000;
  const hash = new SeededHash(SEED);
  const found = new BigUint64Array(keys);
  const id = Buffer.from('impression-00000000-eu-1');
  for (let i = 0; i < keys; i++) {
    for (let digit = 18, rest = i; digit > 10; digit--, rest = Math.floor(rest / 10)) id[digit] = 48 + (rest % 10);
    hash.bytes(id, 0, id.length);
    found[i] = (BigInt(hash.hi >>> 0) << 32n) | BigInt(hash.lo >>> 0);
  }
  found.sort();
  let collisions = 0;
  for (let i = 1; i < keys; i++) if (found[i] === found[i - 1]) collisions++;
  expect(collisions).toBe(0);
});

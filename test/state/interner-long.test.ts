/** Ids that do not lie in their row as a whole, and those that just do. */
import { expect, test } from 'vitest';
import { SeededHash } from '../../src/state/hash.ts';
import { makeIdBlock } from '../../src/state/id-block.ts';
import { Interner } from '../../src/state/interner.ts';

const enter = (ids: Interner, id: Uint8Array): number => ids.intern(Uint8Array.of(1, ...id, 2), 1, 1 + id.length);
const framed = (content: Uint8Array): Uint8Array => Uint8Array.of(content.length, ...content, 0);
const filled = (letter: number, length: number): Uint8Array => new Uint8Array(length).fill(letter);

/** In a block of one. */
function findFramed(ids: Interner, content: Uint8Array): number {
  const block = makeIdBlock();
  block.size = 1;
  block.hashes[0] = 7;
  block.bytes = content;
  block.ends[0] = content.length;
  ids.findAllFramed(block, 127);
  return block.indices[0];
}

test('long ids, and those of just as many bytes as a row has room for, are told apart from others of the same hash wherever one byte differs', () => {
  const table = new Interner(() => 7, 1_000_000);
  const lengths = [4, 8, 53, 54, 55, 56, 57, 58, 59, 60, 61, 72];
  const bases = lengths.flatMap((length) => [filled(0, length), filled(0x61, length)]);
  const contents = bases.flatMap((content) => [content, ...Array.from(content, (_, at) => content.with(at, 0x2d))]);
  const ids = contents.flatMap((content) => [Uint8Array.of(content.length, ...content, 1), content, framed(content)]);
  for (const [i, bytes] of ids.entries()) {
    if (i % 3 === 2) expect(findFramed(table, contents[(i - 2) / 3])).toBe(-1);
    expect(enter(table, bytes)).toBe(i);
  }
  for (const [i, bytes] of ids.entries()) expect(enter(table, bytes)).toBe(i);
  for (const [i, content] of contents.entries()) {
    expect(findFramed(table, content)).toBe(3 * i + 2);
    expect(table.findFramed(7, content, 0, content.length)).toBe(3 * i + 2);
  }
});

test('bytes exactly to the limit are taken, also where a piece of memory ends; an id longer than a piece never', () => {
  const tooMany = expect.objectContaining({ code: 'too_many_ids' });
  const put = (ids: Interner, letter: number, length: number): number => ids.intern(filled(letter, length), 0, length);
  const upTo = (bytes: number): Interner => new Interner(new SeededHash(filled(7, 8)), 100, undefined, bytes);
  const table = upTo(2 ** 20 + 100);
  expect(put(table, 1, 2 ** 20 - 60)).toBe(0);
  expect(() => put(table, 2, 101)).toThrow(tooMany);
  expect(put(table, 3, 100)).toBe(1);
  expect(() => put(table, 4, 57)).toThrow(tooMany);
  expect([put(table, 5, 56), table.size]).toEqual([2, 3]);
  expect(put(upTo(2 ** 20), 1, 2 ** 20)).toBe(0);
  expect(() => put(upTo(2 ** 22), 1, 2 ** 20 + 1)).toThrow(tooMany);
});

test('what a row holds of a longer id is not taken for a short one', () => {
  for (let length = 53; length < 60; length++) {
    const table = new Interner(() => 7, 10);
    enter(table, framed(filled(0x61, length)));
    expect(findFramed(table, filled(0, length))).toBe(-1);
  }
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/state/bytes.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { ID_BLOCK, makeIdBlock } from '../../src/state/id-block.ts';
import { Interner } from '../../src/state/interner.ts';

const interner = (maxIds = 1_000_000): Interner => new Interner(new SeededHash(new Uint8Array(8).fill(7)), maxIds);
const enter = (ids: Interner, id: Uint8Array): number => ids.intern(Uint8Array.of(1, ...id, 2), 1, 1 + id.length);
const utf8 = new TextEncoder();

const id = fc.oneof(
  fc.uint8Array({ maxLength: 3 }),
  fc.string({ maxLength: 40 }).map((text) => utf8.encode(text)),
);

test('ids get numbers in order of appearance, the same for the same bytes', () => {
  fc.assert(
    fc.property(fc.array(id, { maxLength: 100 }), (ids) => {
      const table = interner();
      const model = new Map<string, number>();
      for (const bytes of ids) {
        const name = Buffer.from(bytes).toString('hex');
        if (!model.has(name)) model.set(name, model.size);
        expect(enter(table, bytes)).toBe(model.get(name));
      }
      expect(table.size).toBe(model.size);
      for (const [name, index] of model) expect(Buffer.from(table.bytesOf(index)).toString('hex')).toBe(name);
    }),
  );
});

test('a block of ids gets the numbers that they would get one by one', () => {
  fc.assert(
    fc.property(fc.array(fc.array(id, { maxLength: ID_BLOCK, size: 'max' }), { maxLength: 8 }), (blocks) => {
      const [together, alone] = [interner(), interner()];
      const block = makeIdBlock();
      for (const ids of blocks) {
        block.bytes = Buffer.concat(ids);
        block.size = ids.length;
        let at = 0;
        for (const [i, bytes] of ids.entries()) {
          block.starts[i] = at;
          block.ends[i] = at += bytes.length;
        }
        together.hashAll(block);
        for (const [i, bytes] of ids.entries())
          expect(together.internHashed(block.hashes[i], block.bytes, block.starts[i], block.ends[i])).toBe(enter(alone, bytes));
      }
      expect(together.size).toBe(alone.size);
    }),
  );
});

test('what is written in pieces is read again with the same numbers, and only what is new is written', () => {
  fc.assert(
    fc.property(fc.array(fc.array(id, { maxLength: 20 }), { maxLength: 6 }), (pieces) => {
      const table = interner();
      const restored = interner();
      for (const piece of pieces) {
        for (const bytes of piece) enter(table, bytes);
        const out = new ByteWriter();
        table.writeNew(out);
        const from = new ByteReader(out.take());
        restored.readNew(from);
        expect(from.done).toBe(true);
      }
      expect(restored.size).toBe(table.size);
      for (let i = 0; i < table.size; i++) expect([...restored.bytesOf(i)]).toEqual([...table.bytesOf(i)]);
      const out = new ByteWriter();
      restored.writeNew(out);
      expect([...out.take()]).toEqual([0]);
    }),
  );
});

test('an id is a copy: the buffer it came in may be used for the next', () => {
  const table = interner();
  const buffer = utf8.encode('first');
  table.intern(buffer, 0, 5);
  buffer.fill(0);
  expect(Buffer.from(table.bytesOf(0)).toString()).toBe('first');
});

test('exactly as many ids as allowed are taken; one more stops by name, and those known still answer', () => {
  const table = interner(2);
  expect(['a', 'b', 'a'].map((name) => enter(table, utf8.encode(name)))).toEqual([0, 1, 0]);
  expect(() => enter(table, utf8.encode('c'))).toThrow(expect.objectContaining({ code: 'too_many_ids' }));
  expect([enter(table, utf8.encode('b')), table.size]).toEqual([1, 2]);
});

test('50,000 ids are found again after every growth', () => {
  const table = interner();
  for (let i = 0; i < 50_000; i++) enter(table, utf8.encode(`id ${i}`));
  let wrong = 0;
  for (let i = 0; i < 50_000; i++) if (enter(table, utf8.encode(`id ${i}`)) !== i) wrong++;
  expect([wrong, table.size]).toEqual([0, 50_000]);
});

test('while it grows all ids are found, those before the growth, those after, and those not yet moved', () => {
  const table = interner();
  let wrong = 0;
  for (let i = 0; i < 40_000; i++) {
    if (enter(table, utf8.encode(`id ${i}`)) !== i) wrong++;
    const earlier = Math.imul(i, 0x9e37_79b1) >>> 0;
    if (enter(table, utf8.encode(`id ${earlier % (i + 1)}`)) !== earlier % (i + 1)) wrong++;
  }
  expect([wrong, table.size]).toEqual([0, 40_000]);
});

test('long ids lie whole, each in one piece of memory', () => {
  const table = interner();
  const long = (i: number): Uint8Array => utf8.encode(`${i} `.repeat(700 + (i % 50)));
  for (let i = 0; i < 2000; i++) expect(enter(table, long(i))).toBe(i);
  for (let i = 0; i < 2000; i += 7) expect(Buffer.compare(table.bytesOf(i), long(i))).toBe(0);
  const out = new ByteWriter();
  table.writeNew(out);
  const restored = interner();
  restored.readNew(new ByteReader(out.take()));
  for (let i = 0; i < 2000; i += 7) expect(enter(restored, long(i))).toBe(i);
});

test('more bytes than there may be stop by name, and what is known still answers', () => {
  const table = new Interner(new SeededHash(new Uint8Array(8).fill(7)), 100, undefined, 1000);
  for (let i = 0; i < 9; i++) enter(table, utf8.encode(`${i}`.repeat(100)));
  expect(() => enter(table, utf8.encode('x'.repeat(101)))).toThrow(expect.objectContaining({ code: 'too_many_ids' }));
  expect([enter(table, utf8.encode('8'.repeat(100))), table.size]).toEqual([8, 9]);
});

test('ids with the same hash are told apart, framed or not, wherever one byte differs', () => {
  const table = new Interner(() => 7, 1_000_000);
  const base = Array.from({ length: 21 }, (_, i) => utf8.encode('abcdefghijklmnopqrstu').subarray(0, i));
  const contents = base.flatMap((content) => [content, ...Array.from(content, (_, at) => content.with(at, 0x2d))]);
  const framed = (content: Uint8Array): Uint8Array => Uint8Array.of(content.length, ...content, 0);
  const ids = contents.flatMap((content) => [content, framed(content)]);
  for (const _ of ['new', 'known']) for (const [i, bytes] of ids.entries()) expect(enter(table, bytes)).toBe(i);
  const block = makeIdBlock();
  block.size = 1;
  block.hashes[0] = 7;
  contents.forEach((content, i) => {
    block.bytes = Buffer.concat([base[3], content, base[3]]);
    block.starts[0] = 3;
    block.ends[0] = 3 + content.length;
    table.findAllFramed(block, 20);
    expect(block.indices[0]).toBe(content.length === 0 ? -1 : 2 * i + 1);
    expect(table.findFramed(7, block.bytes, 3, 3 + content.length)).toBe(2 * i + 1);
  });
});

test('ids of every length to 130 are found, and are what they were, with the bytes of all others around: those that lie in their row, and longer ones', () => {
  const table = new Interner((_bytes, start, end) => (end - start) % 3, 1_000_000);
  const text = utf8.encode('abcdefghij'.repeat(13));
  const contents = Array.from({ length: 131 }, (_, length) => text.subarray(0, length));
  const framed = (content: Uint8Array): Uint8Array => Uint8Array.of(content.length, ...content, 0);
  const ids = contents
    .flatMap((content) => [content, framed(content)])
    .flatMap((one) => (one.length < 2 ? [one] : [one, one.with(-2, 0x7a)]));
  for (const _ of ['new', 'known']) for (const [i, bytes] of ids.entries()) expect(enter(table, bytes)).toBe(i);
  for (const [i, bytes] of ids.entries()) expect([...table.bytesOf(i)]).toEqual([...bytes]);
  const block = makeIdBlock();
  for (const content of contents.slice(1, 128)) {
    block.bytes = Uint8Array.of(9, ...content, 9);
    block.size = 2;
    block.starts.set([1, 1]);
    block.ends.set([1 + content.length, content.length]);
    block.hashes.set([(content.length + 2) % 3, (content.length + 1) % 3]);
    table.findAllFramed(block, 127);
    const found = [...block.indices.subarray(0, 2)].map((index) => (index === -1 ? [] : [...table.bytesOf(index)]));
    expect(found).toEqual([[...framed(content)], content.length === 1 ? [] : [...framed(content.subarray(0, -1))]]);
  }
});

test('what is as long as a framed id and has its hash is none when its first byte or its last is another', () => {
  const table = new Interner(() => 7, 1_000_000);
  for (const id of [Uint8Array.of(2, 0x61, 0x62, 0), Uint8Array.of(3, 0x61, 0x62, 0x63, 1), Uint8Array.of(2, 0x61, 0x62, 0x63, 0)])
    enter(table, id);
  expect(['ab', 'abc'].map((name) => table.findFramed(7, utf8.encode(name), 0, name.length))).toEqual([0, -1]);
});

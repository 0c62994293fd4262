/** What tables of ids take, say that they take, give back, and do where there is no more. */
import { afterEach, expect, test, vi } from 'vitest';
import { GroupTable } from '../../src/operators/group.ts';
import { ByteWriter } from '../../src/state/bytes.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { Interner } from '../../src/state/interner.ts';
import { collectGarbage } from './collect.ts';

const hash = new SeededHash(new Uint8Array(8).fill(7));
const interner = (): Interner => new Interner(hash, 1_000_000);
const utf8 = new TextEncoder();
const idOf = (i: number, length: number): Uint8Array => utf8.encode(`${i}`.padEnd(length, 'x'));
const enter = (ids: Interner, i: number, length = 9): number => ids.intern(idOf(i, length), 0, length);

/** Makes views, and no memory. */
const refusing = <T extends Int32ArrayConstructor | Uint8ArrayConstructor>(array: T): T =>
  new Proxy(array, {
    construct: (target, args: [unknown], made) => {
      if (typeof args[0] === 'number') throw new RangeError('Array buffer allocation failed');
      return Reflect.construct(target, args, made) as object;
    },
  });

const caught = (act: () => unknown): unknown => {
  try {
    act();
    return null;
  } catch (error) {
    return error;
  }
};

afterEach(() => vi.unstubAllGlobals());

test.each([
  ['a few ids each', 500, 12, 9],
  ['many ids', 1, 60_000, 9],
  ['many ids while it grows', 1, 33_000, 9],
  ['long ids', 1, 20_000, 200],
])('tables of %s tell all bytes that their arrays take, and no more', async (_, tables, ids, length) => {
  await collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const made = Array.from({ length: tables }, interner);
  for (const table of made) for (let i = 0; i < ids; i++) enter(table, i, length);
  await collectGarbage();
  const taken = process.memoryUsage().arrayBuffers - before;
  const told = made.reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(told / taken).toBeGreaterThan(0.95);
  expect(told / taken).toBeLessThan(1.05);
});

test('a table that grows takes a few ids into the larger one with each that is new, never many at once, and has both until then', () => {
  const table = interner();
  let { byteLength } = table;
  let begunAt = 0;
  let growths = 0;
  for (let i = 0; i < 100_000; i++) {
    enter(table, i);
    if (table.byteLength > byteLength) begunAt = table.size;
    if (table.byteLength < byteLength) {
      growths++;
      expect((table.size - begunAt) / begunAt).toBeGreaterThan(0.1);
      expect((table.size - begunAt) / begunAt).toBeLessThan(0.2);
    }
    ({ byteLength } = table);
  }
  expect(growths).toBe(14);
});

test('who was asked for an id keeps no table in memory', async () => {
  const dropped = (): WeakRef<ArrayBufferLike> => {
    const groups = new GroupTable(hash, 10);
    groups.intern({ bytes: utf8.encode('campaign'), start: 0, end: 8 });
    return new WeakRef(groups.entityOf(0).buffer);
  };
  const rows = dropped();
  await collectGarbage();
  expect(rows.deref()).toBeUndefined();
});

test.each([
  ['were read ahead', (groups: GroupTable) => groups.warm(new Int32Array(1), 1)],
  ['were written', (groups: GroupTable) => groups.writeName(0, new ByteWriter())],
])('groups whose names %s keep nothing of before they grew', async (_, act) => {
  const groups = new GroupTable(hash, 100);
  const intern = (i: number): number => groups.intern({ bytes: idOf(i, 9), start: 0, end: 9 });
  const small = (): WeakRef<ArrayBufferLike> => {
    intern(0);
    act(groups);
    return new WeakRef(groups.entityOf(0).buffer);
  };
  const rows = small();
  for (let i = 1; i < 100; i++) intern(i);
  await collectGarbage();
  expect(rows.deref()).toBeUndefined();
});

test.each([9, 200])('ids of %i bytes for which the system has no memory are refused by name, and can come again when it has', (length) => {
  const table = interner();
  const known = (): boolean => Array.from({ length: table.size }, (_, i) => i).every((i) => enter(table, i, length) === i);
  const refused: number[] = [];
  for (let i = 0; i < 300; i++) {
    const { size, byteLength } = table;
    vi.stubGlobal('Int32Array', refusing(Int32Array));
    vi.stubGlobal('Uint8Array', refusing(Uint8Array));
    const error = caught(() => enter(table, i, length));
    const again = caught(() => enter(table, i, length));
    vi.unstubAllGlobals();
    if (error !== null) {
      refused.push(i);
      expect([error, again]).toEqual([error, error]);
      expect(error).toMatchObject({ code: 'state_memory_full' });
      expect([table.size, table.byteLength]).toEqual([size, byteLength]);
    }
    expect(enter(table, i, length)).toBe(i);
    expect(known()).toBe(true);
  }
  expect(refused.slice(0, 3)).toEqual(length === 9 ? [4, 8, 16] : [0, 1, 2]);
});

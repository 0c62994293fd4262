import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/state/bytes.ts';
import { mix } from '../../src/state/cell-hash.ts';
import { CellTable, TO_COMMIT, TO_SEND } from '../../src/state/cells.ts';

type Place = [group: number, member: number, time: number];
interface ModelCell {
  values: number[];
  send: boolean;
  commit: boolean;
}

const group = fc.nat(6);
const time = fc.oneof(fc.integer({ min: -2, max: 4 }), fc.constantFrom(2 ** 32, 2 ** 32 + 1, 9.6e9));
const place = fc.tuple(group, fc.nat(1), time);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('add' as const), place, amount: fc.nat(1000), column: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('touchFor' as const), place, purpose: fc.constantFrom(TO_SEND, TO_COMMIT) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const), purpose: fc.constantFrom(TO_SEND, TO_COMMIT) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), below: fc.integer({ min: -2, max: 5 }) }) },
);

test('whatever is added, touched, taken and dropped, it answers as a plain map does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const table = new CellTable(2);
      const model = new Map<string, ModelCell>();
      const keyOf = (place: Place): string => place.join();
      const cell = (place: Place): [number, ModelCell] => {
        const key = keyOf(place);
        if (!model.has(key)) model.set(key, { values: [0, 0], send: false, commit: false });
        return [table.at(...place), model.get(key) as ModelCell];
      };
      const placeOf = (index: number): Place => [table.groupOf(index), table.memberOf(index), table.timeOf(index)];
      for (const one of steps) {
        if (one.do === 'add') {
          const [index, known] = cell(one.place);
          table.add(index, one.column, one.amount);
          table.touch(index);
          known.values[one.column] += one.amount;
          Object.assign(known, { send: true, commit: true });
        } else if (one.do === 'touchFor') {
          const [index, known] = cell(one.place);
          table.touchFor(index, one.purpose);
          known[one.purpose === TO_SEND ? 'send' : 'commit'] = true;
        } else if (one.do === 'take') {
          const name = one.purpose === TO_SEND ? 'send' : 'commit';
          const expected = [...model].filter(([, known]) => known[name]).map(([key]) => key);
          expect(table.changed(one.purpose)).toBe(expected.length);
          const taken = Array.from(table.takeChanged(one.purpose), (index) => keyOf(placeOf(index)));
          expect(taken.sort()).toEqual(expected.sort());
          for (const known of model.values()) known[name] = false;
        } else {
          // What is still listed as changed stays, whatever the caller says.
          const gone = [...model].filter(([key, { send, commit }]) => !send && !commit && Number(key.split(',')[2]) < one.below);
          expect(table.drop((index) => table.timeOf(index) < one.below)).toBe(gone.length);
          for (const [key] of gone) model.delete(key);
        }
        expect(table.size).toBe(model.size);
      }
      const held = Array.from({ length: table.size }, (_, i) => [keyOf(placeOf(i)), [table.get(i, 0), table.get(i, 1)]]);
      expect(new Map(held as [string, number[]][])).toEqual(new Map([...model].map(([key, { values }]) => [key, values])));
      for (const [key, { send, commit }] of model) {
        const index = table.find(...(key.split(',').map(Number) as Place));
        expect(table.isTouched(index)).toBe(send || commit);
      }
    }),
    { numRuns: 300 },
  );
});

test('dropped in steps, while others come and go, it ends as if it had been done at once; and is whole after each', () => {
  const kept = fc.record({
    place: fc.tuple(group, fc.nat(1), fc.integer({ min: 3, max: 40 })),
    purpose: fc.constantFrom(TO_SEND, TO_COMMIT),
  });
  const first = fc.record({ place: fc.tuple(group, fc.nat(1), fc.integer({ min: -2, max: 6 })), listed: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(first, { maxLength: 80 }),
      fc.array(fc.array(kept, { maxLength: 6 })),
      fc.integer({ min: 1, max: 20 }),
      (cells, later, count) => {
        const table = new CellTable(1);
        const model = new Map<string, number>();
        const listed = new Set<string>();
        const add = (place: Place): number => {
          const index = table.at(...place);
          table.add(index, 0, 1);
          model.set(place.join(), (model.get(place.join()) ?? 0) + 1);
          return index;
        };
        for (const one of cells) {
          const index = add(one.place);
          if (one.listed) table.touchFor(index, TO_SEND);
          if (one.listed) listed.add(one.place.join());
        }
        const isGone = (key: string): boolean => Number(key.split(',')[2]) < 3 && !listed.has(key);
        const walk = { left: table.size };
        for (let done = false, n = 0; !done; n++) {
          done = table.dropNext(walk, count, (index) => table.timeOf(index) < 3);
          for (const { place, purpose } of later[n] ?? []) {
            table.touchFor(add(place), purpose);
            if (purpose === TO_SEND) listed.add(place.join());
          }
          for (const [key, value] of model) {
            const index = table.find(...(key.split(',').map(Number) as Place));
            if (index !== -1) expect(table.get(index, 0)).toBe(value);
            else expect(isGone(key)).toBe(true);
          }
        }
        for (const key of model.keys()) if (isGone(key)) model.delete(key);
        expect(table.size).toBe(model.size);
        const taken = Array.from(table.takeChanged(TO_SEND), (i) => [table.groupOf(i), table.memberOf(i), table.timeOf(i)].join());
        expect(taken.sort()).toEqual([...listed].sort());
      },
    ),
    { numRuns: 300 },
  );
});

test('a cell that is not there is not found; asking for it makes it with zeros, also where a dropped one lay', () => {
  const table = new CellTable(1);
  expect(table.find(1, 2, 3)).toBe(-1);
  table.add(table.at(1, 2, 3), 0, 7);
  table.drop(() => true);
  expect(table.find(1, 2, 3)).toBe(-1);
  expect(table.get(table.at(1, 2, 3), 0)).toBe(0);
});

test('what is written is read again, at the same place', () => {
  const table = new CellTable(3);
  const index = table.at(5, 6, 9.6e9);
  for (const [column, value] of [0, Number.MAX_SAFE_INTEGER, 12].entries()) table.add(index, column, value);
  table.touch(index);
  const out = new ByteWriter();
  table.writeChanged(TO_COMMIT, out);
  const other = new CellTable(3);
  other.at(1, 1, 1);
  const from = new ByteReader(out.take());
  expect(from.varint()).toBe(1);
  const read = other.read(from);
  expect(from.done).toBe(true);
  expect([other.groupOf(read), other.memberOf(read), other.timeOf(read)]).toEqual([5, 6, 9.6e9]);
  expect([0, 1, 2].map((column) => other.get(read, column))).toEqual([0, Number.MAX_SAFE_INTEGER, 12]);
  expect(other.isTouched(read)).toBe(false);
});

test.each([63, 64, 65, 128, 200])('%i changed cells are written, each once, and read again', (count) => {
  const table = new CellTable(2);
  for (let i = 0; i < count; i++) {
    const index = table.at(i % 7, i % 2, i);
    table.add(index, 0, i + 1);
    table.add(index, 1, 2 ** 40 + i);
    table.touch(index);
  }
  const out = new ByteWriter();
  table.writeChanged(TO_COMMIT, out);
  const other = new CellTable(2);
  const from = new ByteReader(out.take());
  expect(from.varint()).toBe(count);
  const read = Array.from({ length: count }, () => other.read(from));
  expect(from.done).toBe(true);
  expect(other.size).toBe(count);
  for (const index of read) {
    const i = other.timeOf(index);
    expect([other.groupOf(index), other.memberOf(index), other.get(index, 0), other.get(index, 1)]).toEqual([
      i % 7,
      i % 2,
      i + 1,
      2 ** 40 + i,
    ]);
  }
});

test('100,000 cells are found again after every growth', () => {
  const table = new CellTable(1);
  for (let i = 0; i < 100_000; i++) table.add(table.at(i % 300, 0, Math.floor(i / 300)), 0, i);
  let wrong = 0;
  for (let i = 0; i < 100_000; i++) if (table.get(table.find(i % 300, 0, Math.floor(i / 300)), 0) !== i) wrong++;
  expect([table.size, wrong]).toEqual([100_000, 0]);
});

test('a value that would pass 2^53 − 1 stops by name and stays as it was', () => {
  const table = new CellTable(1);
  const index = table.at(0, 0, 0);
  table.add(index, 0, Number.MAX_SAFE_INTEGER);
  table.add(index, 0, 0);
  expect(() => table.add(index, 0, 1)).toThrow(expect.objectContaining({ code: 'total_overflow' }));
  expect(table.get(index, 0)).toBe(Number.MAX_SAFE_INTEGER);
});

test('no insertion waits for the table to grow: the longest of two million takes no longer than some moves', () => {
  const table = new CellTable(1);
  let longestMs = 0;
  for (let i = 0; i < 2_000_000; i++) {
    const { user, system } = process.threadCpuUsage();
    table.at(i % 3000, 0, Math.floor(i / 3000));
    const now = process.threadCpuUsage();
    longestMs = Math.max(longestMs, (now.user + now.system - user - system) / 1000);
  }
  // A rehash of a million cells in one go takes 40 ms and more.
  expect(longestMs).toBeLessThan(20);
});

test('cells whose hashes are the same are different cells', () => {
  const [one, other] = sameHash();
  const table = new CellTable(1);
  table.add(table.at(5, 0, one), 0, 7);
  expect(table.find(5, 0, other)).toBe(-1);
  table.add(table.at(5, 0, other), 0, 9);
  expect([one, other].map((time) => table.get(table.find(5, 0, time), 0))).toEqual([7, 9]);
});

/** Two times of group 5 that spread alike: among so many there are some. */
function sameHash(): [number, number] {
  const seen = new Map<number, number>();
  for (let time = 0; time < 1_000_000; time++) {
    const hash = mix(5, 0, time * 7919);
    const before = seen.get(hash);
    if (before !== undefined) return [before, time * 7919];
    seen.set(hash, time * 7919);
  }
  throw new Error('no two hashes are the same');
}

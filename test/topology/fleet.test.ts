import { expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/state/bytes.ts';
import { FLEET_MAGIC, Fleet, type FleetSection, FleetTeller, MAX_FLEET_BYTES } from '../../src/topology/fleet.ts';
import { PARTIALS } from './drive.ts';
import { at, Fed } from './fed.ts';

const RUNNING = 1;
const sender = (partition: number, version: number, epoch = 1) => ({ partition, epoch, version });

/** Says these numbers, changed from outside. */
const saying = (numbers: number[], id = RUNNING): FleetSection => ({
  id,
  write: (out) => {
    for (const number of numbers) out.varint(number);
  },
});

const readAll = (from: ByteReader): number[] => {
  const numbers: number[] = [];
  while (!from.done) numbers.push(from.varint());
  return numbers;
};

const heard = (fleet: Fleet, section = RUNNING): Record<number, number[]> =>
  Object.fromEntries(fleet.latest(section).map(({ partition, from }) => [partition, readAll(from)]));

const recordOf = (numbers: number[], of = sender(0, 1), id = RUNNING): Uint8Array => {
  const [record] = new FleetTeller(PARTIALS).tell(at(0), of, [saying(numbers, id)]);
  expect(record).toMatchObject({ topic: PARTIALS, partition: 0 });
  return record.value as Uint8Array;
};

const take = (fleet: Fleet, value: Uint8Array): boolean => fleet.take(new ByteReader(value));

test('partition 0 knows the latest that every partition has said, each section apart', () => {
  const fleet = new Fleet();
  expect(take(fleet, recordOf([1, 2], sender(3, 10)))).toBe(true);
  take(fleet, recordOf([7], sender(0, 5)));
  take(fleet, recordOf([9], sender(3, 10), 10));
  take(fleet, recordOf([4, 5, 6], sender(3, 11)));
  expect(heard(fleet)).toEqual({ 0: [7], 3: [4, 5, 6] });
  expect(heard(fleet, 10)).toEqual({ 3: [9] });
});

test('a repeat says nothing new, and what a zombie says of an earlier position or epoch is not heard', () => {
  const fleet = new Fleet();
  take(fleet, recordOf([1], sender(2, 10, 2)));
  expect(take(fleet, recordOf([1], sender(2, 10, 2)))).toBe(false);
  expect(take(fleet, recordOf([5], sender(2, 9, 2)))).toBe(false);
  expect(take(fleet, recordOf([6], sender(2, 999, 1)))).toBe(false);
  expect(heard(fleet)).toEqual({ 2: [1] });
  expect(take(fleet, recordOf([3], sender(2, 10, 2)))).toBe(true);
});

test('what was heard survives a restart, by the commits since or by a snapshot', () => {
  const fleet = new Fleet();
  const commits: Uint8Array[] = [];
  const commit = (): void => {
    const out = new ByteWriter();
    fleet.write(out);
    commits.push(out.take());
  };
  take(fleet, recordOf([1], sender(0, 1)));
  commit();
  take(fleet, recordOf([2], sender(1, 1)));
  take(fleet, recordOf([3], sender(0, 2)));
  commit();
  commit();
  expect(commits[2]).toHaveLength(0);
  const restored = (from: Uint8Array[]): Fleet => {
    const other = new Fleet();
    for (const changes of from) other.read(new ByteReader(changes));
    return other;
  };
  expect(heard(restored(commits))).toEqual({ 0: [3], 1: [2] });
  fleet.touchAll();
  commit();
  expect(heard(restored(commits.slice(3)))).toEqual({ 0: [3], 1: [2] });
});

test('a partition speaks when it has something new, at most once a second, and once a minute in any case', () => {
  const numbers: number[] = [];
  const teller = new FleetTeller(PARTIALS);
  const tells = (ms: number): number => teller.tell(at(ms), sender(1, ms), [saying(numbers)]).length;
  expect(tells(0)).toBe(0);
  numbers.push(1);
  expect([tells(900), tells(1000), tells(2000), tells(3000)]).toEqual([0, 1, 0, 0]);
  numbers.push(2);
  expect([tells(3500), tells(4000), tells(63_000), tells(64_000)]).toEqual([0, 1, 0, 1]);
});

test('what no longer can be said in one record is a fault by name, not a record that Kafka refuses', () => {
  expect(() => recordOf(Array.from({ length: MAX_FLEET_BYTES + 1 }, () => 1))).toThrow(RangeError);
});

test('a fleet record of a newer program is refused by name; one that ends early stops the task', () => {
  const fed = new Fed();
  const good = recordOf([1, 2, 3]);
  expect(() => fed.raw(Uint8Array.of(FLEET_MAGIC, 99, 0))).toThrow(expect.objectContaining({ code: 'partial_format' }));
  expect(() => fed.raw(good.subarray(0, good.length - 1))).toThrow(expect.objectContaining({ code: 'partial_format' }));
});

test('evaluate takes fleet records out of its log, commits them, and says its own part to partition 0 before it commits', () => {
  const fed = new Fed({ parts: [() => ({ fleet: saying([8, 9]) })] });
  fed.raw(recordOf([1], sender(4, 77)));
  const out = fed.stage.emit(at(1000), { contactMs: () => 1000, endReachedMs: () => null }, true);
  expect(out?.records).toHaveLength(1);
  fed.raw(out?.records[0].value as Uint8Array);
  const restored = new Fed({ commits: [fed.commit()] });
  expect(heard(restored.stage.state.fleet)).toEqual({ 0: [8, 9], 4: [1] });
});

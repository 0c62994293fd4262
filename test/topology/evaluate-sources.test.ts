import { expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/state/bytes.ts';
import { Sources } from '../../src/topology/evaluate-sources.ts';
import type { PartialHeader } from '../../src/topology/partials.ts';

const PARTITIONS = 2;

/** A mark of impressions/0 unless it says otherwise. */
const mark = (given: Partial<PartialHeader> = {}): PartialHeader => ({
  topic: 'impressions',
  partition: 0,
  stream: 'impressions',
  partitions: PARTITIONS,
  origin: 0,
  position: 10,
  watermarkMs: 1000,
  idle: false,
  endAgeMs: null,
  lastRecordMs: null,
  oldestRecordMs: null,
  claim: 1,
  emission: 0,
  part: 0,
  parts: 1,
  ...given,
});

const arrive = (sources: Sources, given: Partial<PartialHeader> = {}, markMs = 0): boolean | null => {
  const header = mark(given);
  return sources.arrived(sources.of(header), header, markMs);
};

const heard = (...marks: Partial<PartialHeader>[]): Sources => {
  const sources = new Sources();
  for (const one of marks) arrive(sources, one);
  return sources;
};

const first = (sources: Sources) => sources.all()[0];

test('the stream’s watermark is the least of its partitions, once all of them have been heard', () => {
  const sources = heard({ watermarkMs: 1000 });
  expect(sources.watermarkMs('impressions')).toBeNull();
  arrive(sources, { partition: 1, watermarkMs: 400 });
  expect(sources.watermarkMs('impressions')).toBe(400);
  expect(sources.holder('impressions')).toMatchObject({ partition: 1 });
  expect(sources.watermarkMs('exposures')).toBeNull();
});

test('an idle partition is left out until it speaks; a lagging one never is', () => {
  const sources = heard({ watermarkMs: 1000 }, { partition: 1, watermarkMs: 400, idle: true });
  expect(sources.watermarkMs('impressions')).toBe(1000);
  expect(sources.holder('impressions')).toMatchObject({ partition: 0 });
  arrive(sources, { partition: 1, position: 11, watermarkMs: 500, idle: false });
  expect(sources.watermarkMs('impressions')).toBe(500);
});

test('a partition that has accepted nothing yet holds the watermark back, unless it is idle', () => {
  const sources = heard({ watermarkMs: 1000 }, { partition: 1, watermarkMs: null });
  expect(sources.watermarkMs('impressions')).toBeNull();
  expect(sources.holder('impressions')).toMatchObject({ partition: 1 });
  arrive(sources, { partition: 1, watermarkMs: null, idle: true });
  expect(sources.watermarkMs('impressions')).toBe(1000);
});

test('when all are idle the highest stands', () => {
  expect(heard({ idle: true }, { partition: 1, watermarkMs: 400, idle: true }).watermarkMs('impressions')).toBe(1000);
});

test('the floor under all event times counts idle partitions too, and is unknown while one is unheard of', () => {
  const sources = heard({ watermarkMs: 1000 });
  expect(sources.floorMs('impressions')).toBeNull();
  arrive(sources, { partition: 1, watermarkMs: 400, idle: true });
  expect(sources.floorMs('impressions')).toBe(400);
});

test('a mark at an equal position replaces; a lower one is ignored', () => {
  const sources = heard({ position: 10, watermarkMs: 1000, endAgeMs: 5 });
  expect(arrive(sources, { position: 10, watermarkMs: 1000, endAgeMs: 700, idle: true }, 77)).toBe(false);
  expect(first(sources)).toMatchObject({ position: 10, endAgeMs: 700, idle: true, markMs: 77 });
  expect(arrive(sources, { position: 9, endAgeMs: 1, idle: false }, 99)).toBeNull();
  expect(first(sources)).toMatchObject({ position: 10, endAgeMs: 700, idle: true, markMs: 77 });
  expect(arrive(sources, { position: 11, watermarkMs: 1001 })).toBe(true);
});

test('a mark counts only when all parts of its emission are there, in whatever order', () => {
  const sources = heard({ position: 10 });
  const part = (n: number, more: Partial<PartialHeader> = {}) => arrive(sources, { position: 20, emission: 1, part: n, parts: 3, ...more });
  expect([part(2), part(0), part(0), first(sources).position]).toEqual([null, null, null, 10]);
  expect([part(1), first(sources).position]).toEqual([true, 20]);
});

test('an emission that was half there at a commit is complete with its other half after a restart', () => {
  const sources = heard({ position: 10 });
  const part = (of: Sources, n: number) => arrive(of, { position: 20, emission: 1, part: n, parts: 2 });
  part(sources, 0);
  const [progress, arriving] = [new ByteWriter(), new ByteWriter()];
  sources.writeChanged(progress);
  sources.writeArriving(arriving);
  const restarted = new Sources();
  restarted.readChanged(new ByteReader(progress.take()));
  restarted.readArriving(new ByteReader(arriving.take()));
  expect(part(restarted, 1)).toBe(true);
  restarted.readArriving(null);
  expect(part(restarted, 1)).toBeNull();
});

test('parts of two emissions, or of two owners, never complete one another', () => {
  const sources = heard({ position: 10 });
  const part = (n: number, emission: number, claim = 1) => arrive(sources, { position: 20, emission, claim, part: n, parts: 2 });
  expect([part(0, 1), part(1, 2), part(1, 1, 2), part(0, 1, 3), part(1, 1, 4)]).toEqual([null, null, null, null, null]);
  expect(first(sources).position).toBe(10);
  expect(part(0, 1, 4)).toBe(true);
});

test('a source that counts again from a later offset is reported as lost, its watermark kept; the old owner is not heard', () => {
  const sources = heard({ origin: 0, position: 100, watermarkMs: 9000 });
  expect(sources.lost.size).toBe(0);
  arrive(sources, { origin: 40, position: 60, watermarkMs: 500 });
  expect(sources.lost).toEqual(new Set([0]));
  expect(first(sources)).toMatchObject({ origin: 40, position: 60, watermarkMs: 9000 });
  expect(arrive(sources, { origin: 0, position: 101 })).toBeNull();
  expect(first(sources)).toMatchObject({ origin: 40, position: 60 });
});

test('the first mark of a source that began late is no loss', () => {
  expect(heard({ origin: 40, position: 60 }).lost.size).toBe(0);
});

test('what is committed is restored, and only what has changed is written', () => {
  const sources = heard(
    { watermarkMs: 1000, endAgeMs: 3, lastRecordMs: 5 },
    { topic: 'exposures', stream: 'exposures', partition: 7, watermarkMs: null, idle: true, origin: 2 },
  );
  arrive(sources, { origin: 4, position: 60 });
  const restored = new Sources();
  // Counted until: what is known of it again at once is the last record's time.
  const known = (of: Sources) => of.all().map((source) => ({ ...source, countedUntilMs: source.lastRecordMs }));
  const carry = (): number => {
    const out = new ByteWriter();
    sources.writeChanged(out);
    const bytes = out.take();
    const from = new ByteReader(bytes);
    restored.readChanged(from);
    expect(from.done).toBe(true);
    return bytes.length;
  };
  carry();
  expect(restored.all()).toEqual(known(sources));
  expect(restored.lost).toEqual(new Set([0]));
  expect(carry()).toBe(1);
  arrive(sources, { origin: 4, position: 70, watermarkMs: 2000 });
  sources.of(mark({ partition: 3 }));
  carry();
  expect(restored.all()).toEqual(known(sources));
  expect(restored.of(mark({ partition: 3 }))).toBe(2);
});

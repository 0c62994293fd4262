import { describe, expect, test } from 'vitest';
import { campaignForever } from '../../src/sinks/registry.ts';
import { PartialBody } from '../../src/topology/partial-body.ts';
import { DAY, HOUR, MINUTE, SECOND, START, Story } from './drive.ts';
import { at, Fed, FINE, heardAt, spend, units, zoned } from './fed.ts';

describe('what evaluate writes', () => {
  test('is nothing at all before the first registry, not even when a commit asks; then everything', () => {
    const fed = new Fed({ registered: null });
    fed.take([spend('c', 5), units('e', 'a', 2)]);
    expect(fed.stage.emit(at(1000), heardAt(1000), true)).toBeNull();
    expect(fed.stage.dueMs()).toBe(Number.POSITIVE_INFINITY);
    fed.stage.register(zoned('UTC'));
    expect(fed.write(1000)).toEqual(expect.arrayContaining(['spend:{c}:2026-03-02', 'exposed:{e}']));
  });

  test('carries the position in the log as its version, the epoch, decimal text and the expiry of the contract', () => {
    const fed = new Fed();
    fed.take([spend('c', Number.MAX_SAFE_INTEGER), units('e', 'a', 2), units('e', '__proto__', 1)], { watermarkMs: START });
    fed.take([{ name: 'contaminated', group: { entity: 'e' }, atMs: 0, values: [1] }]);
    const out = fed.stage.emit(at(1000), heardAt(1000), false);
    expect(out?.writer).toEqual({ partition: 0, epoch: 3, version: 2 });
    expect(out?.writes).toContainEqual({
      key: 'spend:{c}:2026-03-02',
      fields: { spend_micros: '9007199254740991', impressions: '1', watermark_ms: String(START) },
      expiryMs: 8 * DAY,
    });
    expect(out?.writes).toContainEqual({
      key: 'exposed:{e}',
      fields: { 'units:a': '2', 'units:__proto__': '1', contaminated: '1', watermark_ms: '0' },
      expiryMs: 90 * DAY,
    });
  });

  test('gathers changes for 25 ms, so that a hot key is written once for many records', () => {
    const fed = new Fed();
    fed.write(0);
    for (let i = 1; i <= 100; i++) fed.take([spend('hot', i)]);
    expect(fed.write(24)).toBeNull();
    const out = fed.stage.emit(at(25), heardAt(25), false);
    expect(out?.writes.map(({ key, fields }) => [key, fields['spend_micros']])).toEqual([['spend:{hot}:2026-03-02', '100']]);
  });

  test('for the sake of time alone is nothing when the broker was last heard of more than 5 s ago', () => {
    const fed = new Fed();
    fed.take([spend('c', 5)]);
    fed.write(0);
    expect(fed.write(6000, 1000)).toHaveLength(1);
    expect(fed.write(12_000, 12_000 - 5001)).toBeNull();
    expect(fed.write(12_000, 12_000 - 5001)).toBeNull();
    fed.take([spend('c', 6)]);
    expect(fed.write(13_000, 7000)).toEqual(['spend:{c}:2026-03-02']);
  });

  test('includes every living key within the rewrite time, whatever changes meanwhile', () => {
    const fed = new Fed();
    fed.take(Array.from({ length: 90 }, (_, i) => spend(`c${i}`, 1)));
    fed.take(Array.from({ length: 30 }, (_, i) => units(`e${i}`, 'a', 1)));
    const lastMs = new Map<string, number>();
    let worstMs = 0;
    let written = 0;
    for (let nowMs = 0; nowMs <= 5 * MINUTE; nowMs += 250) {
      if (nowMs % 3000 === 0) fed.take([spend('c7', nowMs), spend(`new ${nowMs}`, 1)]);
      for (const key of fed.write(nowMs) ?? []) {
        worstMs = Math.max(worstMs, nowMs - (lastMs.get(key) ?? nowMs));
        lastMs.set(key, nowMs);
        written++;
      }
    }
    for (const ms of lastMs.values()) worstMs = Math.max(worstMs, 5 * MINUTE - ms);
    expect(lastMs.size).toBe(90 + 30 + 101);
    expect(worstMs).toBeLessThanOrEqual(60_000);
    expect(written).toBeLessThan(12 * lastMs.size);
  });

  test('is each key once, where it has changed and is due to be rewritten too', () => {
    const fed = new Fed();
    fed.take([spend('c', 1), units('e', 'a', 1)]);
    fed.write(0);
    fed.take([spend('c', 2), units('e', 'a', 2)]);
    expect(fed.write(MINUTE)).toEqual(['spend:{c}:2026-03-02', 'exposed:{e}']);
  });

  test('is everything again when Redis has lost data', () => {
    const fed = new Fed();
    const keys = Array.from({ length: 50 }, (_, i) => `spend:{c${i}}:2026-03-02`);
    fed.take(keys.map((_, i) => spend(`c${i}`, 1)));
    fed.write(0);
    fed.take([spend('c0', 2)]);
    expect(fed.write(100, 100, { ...FINE, dataLost: true })).toEqual(['spend:{c0}:2026-03-02']);
    expect(fed.write(200)).toEqual(keys);
    expect(fed.write(300)).toBeNull();
  });

  test('names the Kafka times of what became visible, each once', () => {
    const fed = new Fed();
    fed.take([], { oldestRecordMs: 10 });
    fed.take([], { oldestRecordMs: 20 });
    expect(fed.stage.takeVisible()).toEqual([20]);
    expect(fed.stage.takeVisible()).toEqual([]);
  });
});

describe('what is no partial', () => {
  test.each([
    ['a null value', null],
    ['an empty value', new Uint8Array(0)],
    ['JSON', new TextEncoder().encode('{}')],
    [
      'a record cut short',
      new PartialBody()
        .take({
          topic: 't',
          partition: 0,
          stream: 'exposures',
          partitions: 1,
          origin: 0,
          position: 0,
          watermarkMs: 1,
          idle: false,
          endAgeMs: null,
          lastRecordMs: null,
          oldestRecordMs: null,
          claim: 0,
          emission: 0,
          part: 0,
          parts: 1,
        })
        .slice(0, 12),
    ],
  ])('%s is refused by name', (_, value) => {
    expect(() => new Fed().raw(value)).toThrow(expect.objectContaining({ code: 'partial_format' }));
  });
});

describe('a campaign’s zone', () => {
  test('decides the day; when it changes, days are made again and the old day shows 0', async () => {
    const story = new Story();
    const process = await story.started();
    story.impression({ at: 11 * HOUR, spend_micros: 3 });
    story.impression({ at: 12 * HOUR, spend_micros: 4 });
    await story.pass(2 * SECOND);
    expect(story.counter('spend:{c}:2026-03-02')).toEqual({ spend_micros: '3', impressions: '1' });
    expect(story.counter('spend:{c}:2026-03-03')).toEqual({ spend_micros: '4', impressions: '1' });

    const version = story.version('spend:{c}:2026-03-02');
    story.registry.set({ campaigns: new Map([['c', [campaignForever('c', 'Asia/Kolkata')]]]) });
    await story.pass(3 * SECOND);
    expect(story.counter('spend:{c}:2026-03-02')).toEqual({ spend_micros: '0', impressions: '0' });
    expect(story.counter('spend:{c}:2026-03-03')).toEqual({ spend_micros: '7', impressions: '2' });
    expect(story.version('spend:{c}:2026-03-02')).toBeGreaterThanOrEqual(version);

    process.kill();
    story.counters.wipe();
    await story.started();
    await story.pass(2 * SECOND);
    expect(story.counter('spend:{c}:2026-03-03')).toEqual({ spend_micros: '7', impressions: '2' });
  });

  test('of another campaign leaves this one’s days alone', async () => {
    const story = new Story();
    await story.started();
    story.impression({ at: 12 * HOUR, spend_micros: 4 });
    story.registry.set({ campaigns: new Map([['other', [campaignForever('other', 'America/New_York')]]]) });
    story.impression({ at: 12 * HOUR, campaign_id: 'other' });
    await story.pass(5 * SECOND);
    expect(story.counter('spend:{c}:2026-03-03')).toEqual({ spend_micros: '4', impressions: '1' });
    expect(story.counter('spend:{other}:2026-03-02')).toEqual({ spend_micros: '1', impressions: '1' });
  });

  test('behind UTC gives the first hours of 1970 to a day before it', async () => {
    const story = new Story();
    story.registry.set({ campaigns: new Map([['c', [campaignForever('c', 'America/New_York')]]]) });
    await story.started();
    story.impression({ at: -START });
    await story.pass(2 * SECOND);
    expect(story.counter('spend:{c}:1969-12-31')).toEqual({ spend_micros: '1', impressions: '1' });
  });
});

describe('Redis that holds more than this log says', () => {
  const plant = async (fence: { epoch: string; version: string }): Promise<[Story, string[]]> => {
    const story = new Story();
    story.counters.plant('spend:{c}:2026-03-02', { fields: { spend_micros: '9', ...fence }, expiryMs: null });
    const process = await story.started();
    story.impression({ at: 0 });
    await story.pass(2 * SECOND);
    return [story, [...process.failures, ...process.fatal]];
  };

  test('with a version beyond the log’s end is an error by name', async () => {
    const [story, codes] = await plant({ epoch: '1', version: '1000' });
    expect(codes).toEqual(['redis_ahead!', 'redis_ahead']);
    expect(story.counter('spend:{c}:2026-03-02')).toEqual({ spend_micros: '9' });
  });

  test('with a higher epoch is too', async () => {
    expect((await plant({ epoch: '2', version: '0' }))[1]).toEqual(['redis_ahead!', 'redis_ahead']);
  });

  test('with a version inside the log is a fence: a zombie’s write is refused, and that is no error', async () => {
    const story = new Story();
    const zombie = await story.started();
    story.impression({ at: 0 });
    await story.pass(2 * SECOND);
    const release = zombie.hold(/^counters.keys.before/);
    story.impression({ at: 1 });
    await story.pass(SECOND);
    const owner = await story.started({ stages: ['evaluate'] });
    story.impression({ at: 2 });
    await story.pass(3 * SECOND);
    owner.kill();
    const seen = story.counters.get('spend:{c}:2026-03-02');
    expect(seen?.fields['spend_micros']).toBe('3');
    release();
    await story.pass(0);
    expect(story.counters.get('spend:{c}:2026-03-02')).toEqual(seen);
    await story.pass(5 * SECOND);
    expect([new Set(zombie.failures), zombie.fatal]).toEqual([new Set(['claim_lost']), []]);
  });
});

describe('an experiment', () => {
  const exposures = (watermarkMs: number | null) => ({ stream: 'exposures', watermarkMs }) as const;

  test('is shown until 90 days without a change have passed, restarts included; then it may come back as it was', () => {
    const fed = new Fed();
    fed.take([units('old', 'a', 2), units('old', 'b', 3), units('busy', 'a', 1)], exposures(START));
    const commits = [fed.commit()];
    fed.take([units('busy', 'a', 2)], exposures(START + 60 * DAY));
    commits.push(fed.commit());
    fed.take([], exposures(START + 89 * DAY));
    commits.push(fed.commit());
    expect(fed.shown()).toEqual({ 'exposed:{old}': 5, 'exposed:{busy}': 2 });
    fed.writes();
    fed.take([], exposures(START + 100 * DAY));
    commits.push(fed.commit());
    const restored = () => [new Fed({ commits }), new Fed({ commits: [new Fed({ commits }).snapshot()] })];
    for (const one of [fed, ...restored()]) expect(one.shown()).toEqual({ 'exposed:{busy}': 2 });
    fed.take([units('old', 'b', 4)], exposures(START + 101 * DAY));
    commits.push(fed.commit());
    for (const one of [fed, ...restored()]) expect(one.shown()).toEqual({ 'exposed:{old}': 6, 'exposed:{busy}': 2 });
  });

  test('that changed while no watermark was known is counted from the first one', () => {
    const fed = new Fed();
    fed.take([units('e', 'a', 2)], exposures(null));
    fed.commit();
    for (const days of [0, 89, 91]) {
      fed.take([], exposures(START + days * DAY));
      fed.commit();
      expect(Object.keys(fed.shown())).toEqual(days < 90 ? ['exposed:{e}'] : []);
    }
  });
});

test('the memory of the state is about what a snapshot takes, also with many long names', () => {
  const fed = new Fed();
  const name = (i: number) => `${i} ${'é'.repeat(200)}`;
  fed.take(Array.from({ length: 1000 }, (_, i) => units(name(i), name(i), 1)));
  fed.take(Array.from({ length: 1000 }, (_, i) => spend(name(i), 1)));
  fed.commit();
  const { byteLength } = fed.stage;
  expect(byteLength).toBeGreaterThan(fed.snapshot().changes.length * 0.9);
  expect(byteLength).toBeLessThan(fed.snapshot().changes.length * 4);
});

import { describe, expect, test } from 'vitest';
import { campaignForever } from '../../src/sinks/registry.ts';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import { PartialBody } from '../../src/topology/partials.ts';
import { DAY, HOUR, MINUTE, SECOND, START, Story } from './drive.ts';
import { at, type Cell, Fed, heardAt, limits, pace, spend, units, zoned } from './fed.ts';

const evaluation = { partition: 0, pace, limits };

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
    expect(fed.write(100, 100, { refused: [], dataLost: true })).toEqual(['spend:{c0}:2026-03-02']);
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

describe('what is old', () => {
  const RETIRED = limits.slotRetentionMs + 3 * DAY;

  test('is kept longer while a source has never accepted anything: an old load there is counted', () => {
    const fed = new Fed();
    const from = (partition: number, watermarkMs: number | null) => ({ partition, partitions: 2, watermarkMs, idle: watermarkMs === null });
    fed.take([], from(1, null));
    fed.take([], from(0, START + RETIRED));
    fed.commit();
    fed.take([spend('c', 5)], from(1, START));
    expect([fed.shown(), fed.stage.state.forgottenCells]).toEqual([{ 'spend:{c}:2026-03-02': 5 }, 0]);
    const empty = new Fed();
    empty.take([], from(1, null));
    empty.take([], from(0, START + RETIRED + 31 * DAY));
    empty.commit();
    empty.take([spend('c', 5)], from(1, START));
    expect([empty.shown(), empty.stage.state.forgottenCells]).toEqual([{}, 1]);
  });

  test('is forgotten once every source is past it, Postgres has it, and no zone’s day may still need it', () => {
    const fed = new Fed();
    fed.take([spend('c', 5), spend('c', 7, START + RETIRED)], { watermarkMs: START + RETIRED });
    fed.stage.takeCommit();
    const { state } = fed.stage;
    expect([state.totals.spend.size, state.days.table.size]).toEqual([2, 2]);
    fed.stage.takeHours(100);
    fed.stage.hoursLanded(false);
    fed.take([], { watermarkMs: START + RETIRED + DAY });
    fed.stage.takeCommit();
    expect(state.totals.spend.size).toBe(2);
    fed.stage.takeHours(100);
    fed.stage.hoursLanded(true);
    fed.write(1000);
    fed.take([], { watermarkMs: START + RETIRED + 2 * DAY });
    fed.stage.takeCommit();
    expect(state.totals.spend.size).toBe(1);
    fed.take([spend('c', 6)]);
    expect([state.totals.spend.size, state.forgottenCells]).toEqual([1, 1]);
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

describe('hours for Postgres', () => {
  test('carry the sources’ positions with the last of them, and where only those have changed', () => {
    const fed = new Fed();
    fed.take([spend('c', 1), spend('c', 1, START + HOUR), spend('c', 1, START + 2 * HOUR)]);
    const flush = (limit: number, written = true) => {
      const batch = fed.stage.takeHours(limit);
      if (batch !== null) fed.stage.hoursLanded(written);
      return batch && [batch.rows.length, batch.positions.map(({ position }) => position)];
    };
    expect([flush(2), flush(2), flush(2)]).toEqual([[2, []], [1, [0]], null]);
    fed.take([]);
    expect([flush(2, false), flush(2), flush(2)]).toEqual([[0, [1]], [0, [1]], null]);
    fed.take([spend('c', 2)]);
    expect([flush(1), flush(1)]).toEqual([[1, [2]], null]);
  });

  test('come with all their columns, once, and again when they change or the flush has failed', () => {
    const fed = new Fed();
    const evidence: Cell = { name: 'spendEvidence', group: { entity: 'c' }, atMs: START, values: [1, 2, 3, 4, 5, 6, 7, 8] };
    fed.take([spend('c', 5), spend('c', 6, START + 45 * MINUTE), spend('c', 7, START + HOUR), evidence]);
    const batch = fed.stage.takeHours(100);
    expect(batch).toMatchObject({
      partialsPartition: 0,
      epoch: 3,
      version: 1,
      positions: [{ topic: 'impressions', partition: 0, origin: 0 }],
    });
    expect(batch?.rows.map(({ hourMs, spendMicros, impressions }) => [hourMs - START, spendMicros, impressions])).toEqual([
      [0, 11, 2],
      [HOUR, 7, 1],
    ]);
    const { lateRecords, lateMicros, duplicateRecords, duplicateMicros } = batch?.rows[0] ?? {};
    const { suspectedRecords, suspectedMicros, invalidTrafficRecords, invalidTrafficMicros } = batch?.rows[0] ?? {};
    expect([lateRecords, lateMicros, duplicateRecords, duplicateMicros]).toEqual([1, 2, 3, 4]);
    expect([suspectedRecords, suspectedMicros, invalidTrafficRecords, invalidTrafficMicros]).toEqual([5, 6, 7, 8]);
    expect(fed.stage.takeHours(100)).toBeNull();
    fed.take([spend('c', 8, START + HOUR)]);
    fed.stage.hoursLanded(false);
    expect(fed.stage.takeHours(1)?.rows).toHaveLength(1);
    expect(fed.stage.takeHours(1)?.rows).toHaveLength(1);
    fed.stage.hoursLanded(true);
    expect(fed.stage.takeHours(100)).toBeNull();
  });

  test('of exposures are by version and variant, with their evidence in records', () => {
    const fed = new Fed();
    const group = { entity: 'e', version: 2, variant: 'b' };
    fed.take([
      { name: 'units', group, atMs: START, values: [4] },
      { name: 'exposureEvidence', group, atMs: START, values: [1, 2, 3] },
    ]);
    expect(fed.stage.takeHours(100)?.rows).toMatchObject([
      {
        kind: 'exposure',
        entityId: 'e',
        allocationVersion: 2,
        variantId: 'b',
        units: 4,
        spendMicros: 0,
        lateRecords: 1,
        lateMicros: 0,
        duplicateRecords: 2,
        suspectedRecords: 3,
      },
    ]);
  });

  test('all that are held are dirty after a restore', () => {
    const fed = new Fed();
    fed.take([spend('c', 5)]);
    fed.stage.takeHours(100);
    fed.stage.hoursLanded(true);
    const next = new EvaluateStage(evaluation);
    next.register(zoned('UTC'));
    next.restore(fed.stage.takeCommit());
    expect(next.takeHours(100)?.rows).toMatchObject([{ entityId: 'c', spendMicros: 5 }]);
  });
});

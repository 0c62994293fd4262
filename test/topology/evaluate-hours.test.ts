/** Hours: what goes to Postgres, and what is forgotten once it has it. */
import { describe, expect, test } from 'vitest';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import { DirtyHours } from '../../src/topology/evaluate-hours.ts';
import { EVALUATE_PARTS } from '../../src/topology/evaluate-parts.ts';
import { DAY, HOUR, MINUTE, START } from './drive.ts';
import { type Cell, Fed, limits, pace, pacing, spend, srm, zoned } from './fed.ts';

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
    const next = new EvaluateStage({
      topic: 'exposure-stream.partials',
      partition: 0,
      partialsPartitions: 1,
      pace,
      pacing,
      limits,
      srm,
      parts: EVALUATE_PARTS,
    });
    next.register(zoned('UTC'));
    for (const _ of next.restore(fed.stage.takeCommit()));
    expect(next.takeHours(100)?.rows).toMatchObject([{ entityId: 'c', spendMicros: 5 }]);
  });
});

describe('hours that Postgres does not have', () => {
  const GROUPS = 400_000;
  const dirtied = (): DirtyHours => {
    const hours = new DirtyHours();
    for (let group = 0; group < GROUPS; group++) hours.mark('spend', group, group % 3);
    return hours;
  };

  test('are taken in the order in which they became dirty, a portion at a time; what could not be written comes again', () => {
    const hours = new DirtyHours();
    for (const group of [5, 3, 9, 1]) hours.mark('spend', group, 7);
    hours.mark('exposure', 3, 7);
    const groups = (limit: number) => hours.take(limit).map(({ kind, group }) => `${kind} ${group}`);
    expect(groups(2)).toEqual(['spend 5', 'spend 3']);
    expect([hours.size, hours.waiting, hours.landed(true)]).toEqual([5, 3, false]);
    expect(groups(2)).toEqual(['spend 9', 'spend 1']);
    hours.mark('spend', 9, 7);
    expect([hours.landed(false), hours.waiting]).toEqual([false, 3]);
    expect(groups(10)).toEqual(['spend 9', 'spend 1', 'exposure 3']);
    expect([hours.landed(true), hours.size]).toEqual([true, 0]);
  });

  test('cost what a portion holds, not what is left: fifty small ones less than all the rest in one', () => {
    const hours = dirtied();
    const cpuOf = (work: () => void): number => {
      const before = process.cpuUsage();
      work();
      return process.cpuUsage(before).user;
    };
    const small = cpuOf(() => {
      for (let portion = 0; portion < 50; portion++) hours.take(10);
    });
    let taken = 0;
    const rest = cpuOf(() => {
      taken = hours.take(GROUPS).length;
    });
    expect(taken).toBe(GROUPS - 500);
    expect(small).toBeLessThan(rest);
  });
});

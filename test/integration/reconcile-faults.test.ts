import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Delta, deltasOf, FaultStory } from '../e2e/reconcile-faults.ts';
import { until } from '../e2e/until.ts';
import { describeIntegration } from '../services/integration.ts';

const TRAFFIC = {
  seed: 8,
  impressions: 40_000,
  exposures: 4000,
  assignments: 1000,
  partitions: 4,
  campaigns: 120,
  hotKeySkew: 0.5,
  idlePartitions: 0,
  spanMs: 20 * 3_600_000,
};

const without = (json: string): string => json.replace(/"run":"[^"]*",/, '').replace(/,"timing":\{[^}]*\}/, '');

describeIntegration('faults on either side, on real services', (services) => {
  let story: FaultStory;
  beforeAll(async () => {
    story = await FaultStory.begin(services, { traffic: TRAFFIC, say: () => {} });
    await story.seed();
  }, 240_000);
  afterAll(() => story?.close());

  const classesOf = (deltas: readonly Delta[], campaign: string | undefined): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { campaign_id, class: name } of deltas) if (campaign_id === campaign) counts[name] = (counts[name] ?? 0) + 1;
    return counts;
  };
  const most = (counts: Record<string, number>): string | undefined => Object.entries(counts).sort(([, a], [, b]) => b - a)[0]?.[0];

  it('are found by a dry run, which changes nothing and says the same twice', async () => {
    const [first, second] = [await story.reconcile('--dry-run', '--json'), await story.reconcile('--dry-run', '--json')];
    expect([first.code, second.code]).toEqual([3, 3]);
    expect(without(second.out)).toBe(without(first.out));
    expect((await story.wrongHours()).length).toBeGreaterThan(60);
  });

  it('are each named and repaired: in Postgres at once, in Redis by evaluate', async () => {
    const { code, out } = await story.reconcile('--json');
    expect([code, JSON.parse(out).held_because]).toEqual([0, null]);
    const deltas = deltasOf({ code, out });
    for (const fault of ['duplicate_suspected', 'loss_suspected', 'invalid_traffic', 'timezone'] as const)
      expect([fault, most(classesOf(deltas, story.campaigns.get(fault)))]).toEqual([fault, fault]);
    expect(deltas.filter(({ class: name }) => name === 'late_events').length).toBeGreaterThan(10);
    expect(await story.wrongHours()).toEqual([]);
    await until('Redis shows the adjusted days', async () => (await story.wrongKeys()).length === 0, 20_000);
  });

  it('leave nothing for the next run, and running again changes nothing', async () => {
    const before = await story.amounts();
    const { code, out } = await story.reconcile('--json');
    expect([code, deltasOf({ code, out }), JSON.parse(out).drift_ratio]).toEqual([0, [], 0]);
    expect((await story.reconcile('--dry-run')).code).toBe(0);
    expect(await story.amounts()).toBe(before);
    expect(await story.wrongKeys()).toEqual([]);
  });

  it('that billing is late with are named when they are booked', async () => {
    await story.bookTheRest();
    const { code, out } = await story.reconcile('--json');
    expect([code, classesOf(deltasOf({ code, out }), story.campaigns.get('late_bookings'))]).toMatchObject([
      0,
      { late_bookings: expect.any(Number) },
    ]);
    expect(await story.wrongHours()).toEqual([]);
    await until('Redis shows them', async () => (await story.wrongKeys()).length === 0, 20_000);
  });

  it('are still repaired after Redis was wiped and the process killed', async () => {
    await story.wipeRedis();
    await until('Redis shows the adjusted days again', async () => (await story.wrongKeys()).length === 0, 20_000);
    await story.worker.kill();
    await story.wipeRedis();
    story.worker.start();
    await story.worker.ready();
    await until('a restarted process shows them too', async () => (await story.wrongKeys()).length === 0, 20_000);
    expect((await story.reconcile('--dry-run')).code).toBe(0);
  });

  it('two runs at once: one waits for the other, and both end well', async () => {
    const both = await Promise.all([story.reconcile('--json'), story.reconcile('--json')]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
  });

  it('a run that is killed, wherever it is, is finished by the next, and has one effect', async () => {
    await story.bookMore('loss_suspected');
    for (let afterMs = 400; afterMs <= 2000; afterMs += 200) await story.killedReconcile(afterMs);
    const { code, out } = await story.reconcile('--json');
    expect([code, deltasOf(await story.reconcile('--json'))]).toEqual([0, []]);
    expect(JSON.parse(out).finished_before.length).toBeLessThanOrEqual(1);
    expect(await story.wrongHours()).toEqual([]);
    await until('Redis shows the adjusted days', async () => (await story.wrongKeys()).length === 0, 20_000);
  });

  it('a truth that is gone is held with exit code 4, and nothing moves', async () => {
    const before = await story.amounts();
    await story.hideTruth();
    const { code, out } = await story.reconcile();
    expect([code, out]).toEqual([4, expect.stringContaining('HELD, nothing was applied')]);
    expect(await story.openAlerts()).toContain('reconcile_held');
    expect((await story.reconcile()).code).toBe(4);
    expect(
      (await story.openAlerts()).filter((kind) => kind === 'reconcile_held'),
      'one, not one an hour',
    ).toHaveLength(1);
    await until('the metrics say so', async () => (await story.worker.get('/metrics')).body.includes('reconcile_held_runs 2'), 40_000);
    await story.worker.terminate();
    expect(await story.amounts()).toBe(before);
  });

  it.each([
    ['--until', 'soon'],
    ['--until', '2026-11-31'],
    ['--from', '2026-11-01'],
    ['--from', '2026-11-02', '--to', '2026-11-01'],
    ['--from', '2026-01-01', '--to', '2026-03-01'],
    ['--approve', 'x', '--dry-run'],
    ['--nonsense'],
  ])('%j is refused with exit code 2', async (...args) => {
    expect((await story.command('reconcile', ...args)).code).toBe(2);
  });
});

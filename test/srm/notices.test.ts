import { describe, expect, it } from 'vitest';
import { reportText } from '../../src/commands/srm-experiment.ts';
import { reportOf } from '../../src/srm/reports.ts';
import { START } from '../topology/drive.ts';
import { at, FINE, heardAt, srm } from '../topology/fed.ts';
import { cells, registryOf, WatchedFed } from './watched.ts';

const HALF = { versions: { 1: { a: 0.5, b: 0.5 } } };
const LEAKY = { versions: { 1: { a: 0.5, b: 0.5, c: 0 } } };
const exposed = (counts: Record<string, number>, version = 1, id = 'e') => cells('unitsTotal', id, counts, version);
const registered = registryOf([{ id: 'e', ...HALF }]);
const report = (fed: WatchedFed, id = 'e') => reportOf(fed.experiment(id), srm);
const acknowledge = (fed: WatchedFed): void => {
  for (const { id } of fed.alerts) fed.stage.state.alerts.closed({ id, endedAtMs: START + 1, acknowledged: true });
};

describe('a leak', () => {
  it('says that what came before can be kept only where it looks as it should', () => {
    const clean = new WatchedFed({ registered: registryOf([{ id: 'e', ...LEAKY }]) });
    clean.look(exposed({ a: 1100, b: 1090 }));
    clean.look(exposed({ a: 1100, b: 1090, c: 1 }));
    expect(clean.alertsOf('srm_leak')[0].facts).toMatchObject({ keeps_before_onset: true, onset_units: 2190 });
    const broken = new WatchedFed({ registered: registryOf([{ id: 'e', ...LEAKY }]) });
    broken.look(exposed({ a: 1000, b: 1190 }));
    const restarted = new WatchedFed({ registered: registryOf([{ id: 'e', ...LEAKY }]), commits: [broken.commit()] });
    for (const fed of [broken, restarted]) {
      fed.look(exposed({ a: 1000, b: 1190, c: 1 }), { position: 5, emission: 5 });
      expect(fed.alertsOf('srm_leak')[0].facts).toMatchObject({ keeps_before_onset: false, onset_units: 2190 });
    }
  });

  it('is one of the assignment, also where its exposure comes before its assignment is known', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', ...LEAKY }]) });
    fed.look([...exposed({ a: 100, b: 100 }), ...cells('assigned', 'e', { a: 120, b: 120 })]);
    fed.look(exposed({ a: 100, b: 100, c: 1 }));
    expect(fed.alertsOf('srm_leak')[0].facts).toMatchObject({ stage: 'assignment', cause: 'zero_share' });
  });
});

describe('what is told of a running experiment', () => {
  it('agrees with its alert while evidence is a little below what it was raised at', () => {
    const fed = new WatchedFed({ registered });
    fed.look(exposed({ a: 500, b: 640 }));
    fed.look(exposed({ a: 1000, b: 1230 }));
    for (let n = 1; fed.experiment('e').exposures.lnE >= Math.log(1000); n++) fed.look(exposed({ a: 1000 + 5 * n, b: 1230 + 5 * n }));
    expect(fed.experiment('e').exposures.lnE).toBeGreaterThan(Math.log(1000) - 3);
    expect(fed.alertsOf('srm')[0].holds).toBe(true);
    expect(report(fed)).toMatchObject({ state: 'alarm', cause: 'bucketing' });
  });

  it('comes for healthy ones too while many are in alarm', () => {
    const ids = Array.from({ length: 60 }, (_, i) => `e${i}`);
    const fed = new WatchedFed({ registered: registryOf([...ids, 'healthy'].map((id) => ({ id, ...HALF }))) });
    const told = new Set<string>();
    for (let n = 1; n <= 10; n++) {
      fed.look([...ids.flatMap((id) => exposed({ a: 900 * n, b: 100 * n }, 1, id)), ...exposed({ a: 50 * n, b: 50 * n }, 1, 'healthy')]);
      const out = fed.stage.emit(at(2000 * n), heardAt(2000 * n), true);
      fed.stage.delivered(FINE, at(2000 * n));
      for (const { key } of out?.writes ?? []) told.add(key);
    }
    expect(told).toContain('srm:{healthy}');
  });

  it('says in words that it is registered no more', () => {
    const fed = new WatchedFed({ registered });
    fed.look(exposed({ a: 50, b: 50 }));
    fed.stage.register(registryOf([], 2));
    for (const ms of [0, 11_000]) fed.integrity.ticked(at(ms));
    expect(reportText(report(fed) as never)).toContain(
      'The split of e is not registered any more, so it is counted and not tested (100 units).',
    );
  });

  it('has how many exposures came before their assignment, and the alert says so', () => {
    const fed = new WatchedFed({ registered });
    const timing = (variant: string, values: number[]) => [
      { name: 'exposureTiming' as const, group: { entity: 'e', version: 1, variant }, atMs: 0, values },
    ];
    fed.look([...exposed({ a: 900, b: 100 }), ...timing('a', [900, 0, 5000]), ...timing('b', [100, 70, 5000])]);
    const [{ facts, description }] = fed.alertsOf('srm');
    expect(facts['arms']).toMatchObject([{ assigned_after_exposed: 0 }, { assigned_after_exposed: 70 }]);
    expect(description).toContain('Exposures that say they came before their assignment: 70 of b.');
  });
});

describe('an experiment', () => {
  it('is paused by what it is paged about only where that is set; then the alert says so', () => {
    const broken = exposed({ a: 900, b: 100 });
    const never = new WatchedFed({ registered });
    never.look(broken);
    expect(never.alertsOf('srm')[0].facts['pauses_experiment']).toBeUndefined();
    const before = srm.pauses;
    try {
      srm.pauses = true;
      const fed = new WatchedFed({ registered });
      fed.look(broken);
      expect(fed.alertsOf('srm')[0]).toMatchObject({ severity: 'page', facts: { pauses_experiment: true } });
      expect(fed.alertsOf('srm')[0].nextStep).toContain('The experiment is paused with this alert');
      const little = new WatchedFed({ registered });
      little.look(exposed({ a: 100_100_000, b: 99_900_000 }));
      expect(little.alertsOf('srm')[0].severity).toBe('ticket');
      expect(little.alertsOf('srm')[0].facts['pauses_experiment']).toBeUndefined();
    } finally {
      srm.pauses = before;
    }
  });
});

describe('an acknowledged alert', () => {
  const until = (fed: WatchedFed, position: number, counts: Record<string, number>): void =>
    fed.look(exposed(counts), { position, emission: position });

  it('is raised anew when its condition was away between, whether or not a restart came before that', () => {
    const fed = new WatchedFed({ registered });
    fed.look(exposed({ a: 400, b: 200 }));
    acknowledge(fed);
    const restarted = new WatchedFed({ registered, commits: [fed.commit()] });
    for (const one of [fed, restarted]) {
      until(one, 10, { a: 450, b: 430 });
      expect(one.experiment('e').exposures.lnE).toBeLessThan(2);
      until(one, 11, { a: 700, b: 435 });
      expect(one.alerts.map(({ kind, ordinal }) => [kind, ordinal])).toEqual([['srm', 1]]);
    }
  });
});

describe('a registry that does not fit', () => {
  it('is described as it is now, though nothing of the experiment can be tested', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', versions: { 1: { a: 0.5, b: 0.4 } } }]) });
    fed.look(exposed({ a: 50, b: 50 }));
    fed.look(exposed({ a: 51, b: 50, z: 3 }));
    expect(fed.alertsOf('experiment_registry')[0].facts['problems']).toEqual([
      'the shares of allocation version 1 add to 0.9, not to 1',
      'the variant z has units and is not registered',
    ]);
  });

  it('in thousands of ways is described by the first twenty, and how many more there are', () => {
    const fed = new WatchedFed({ registered });
    fed.look(Array.from({ length: 400 }, (_, n) => exposed({ a: 1 }, n + 2)).flat());
    const problems = fed.alertsOf('experiment_registry')[0].facts['problems'] as string[];
    expect([problems.length, problems.at(-1)]).toEqual([21, 'and 380 more like these']);
  });
});

describe('the unit that shows a wrong hash', () => {
  it('is still known after a restart, and named', () => {
    const hashed = registryOf([{ id: 'e', ...HALF, more: { hash: 'md5_mod_100' } }]);
    const fed = new WatchedFed({ registered: hashed });
    fed.look(exposed({ a: 5, b: 5 }));
    const commits = [fed.commit()];
    fed.integrity.sampled({ entity: 'e', version: 1, variant: 'a' }, 'u1');
    fed.look(exposed({ a: 6, b: 5 }));
    commits.push(fed.commit());
    const restarted = new WatchedFed({ registered: hashed, commits });
    expect(restarted.experiment('e').mismatch).toEqual({ unitId: 'u1', logged: 'a', hashed: 'b' });
    expect(fed.alertsOf('hash_mismatch')[0].description).toContain('the first, u1, was in a and belongs in b');
  });
});

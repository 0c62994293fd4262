import { describe, expect, it } from 'vitest';
import { reportOf } from '../../src/srm/reports.ts';
import { START } from '../topology/drive.ts';
import { at, FINE, heardAt, srm } from '../topology/fed.ts';
import { cells, type Registration, registryOf, WatchedFed } from './watched.ts';

const HALF: Pick<Registration, 'versions'> = { versions: { 1: { a: 0.5, b: 0.5 } } };
const exposed = (counts: Record<string, number>, version = 1, id = 'e') => cells('unitsTotal', id, counts, version);
const contaminated = (count: number) => [{ name: 'contaminated' as const, group: { entity: 'e' }, atMs: 0, values: [count] }];

/** So long that a row which is gone is not just being written anew. */
const tick = (fed: WatchedFed): void => {
  for (const ms of [100_000, 111_000]) {
    if (fed.stage.emit(at(ms), heardAt(ms), true) !== null) fed.stage.delivered(FINE, at(ms));
  }
};

/** Every alert there is or was. */
const everything = (fed: WatchedFed) => {
  fed.commit();
  fed.stage.state.alerts.settle();
  return [...fed.stage.state.alerts.durable()];
};

describe('an experiment whose row is taken out of the registry', () => {
  it('has its alerts withdrawn, at the time of the newest record', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', ...HALF }]) });
    fed.look(exposed({ a: 900, b: 100 }));
    fed.lookLater(60_000);
    fed.stage.register(registryOf([], 2));
    tick(fed);
    expect(fed.alerts).toEqual([]);
    expect(everything(fed).map(({ endedBy, endedAtMs }) => [endedBy, endedAtMs])).toEqual([['withdrawn', START + 60_000]]);
  });

  it('and put back as it was is alerted about at once, again', () => {
    const registered = (version: number) => registryOf([{ id: 'e', ...HALF }], version);
    const fed = new WatchedFed({ registered: registered(1) });
    fed.look(exposed({ a: 900, b: 100 }));
    const [first] = fed.alerts;
    fed.stage.register(registryOf([], 2));
    tick(fed);
    fed.stage.register(registered(3));
    fed.look(exposed({ a: 901, b: 100 }));
    expect(fed.alerts.map(({ kind, ordinal }) => [kind, ordinal])).toEqual([['srm', 1]]);
    expect(fed.alerts[0].id).not.toBe(first.id);
  });

  it('and put back with another split is tested anew: what was evidence against the old one is none, also after a restart', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', ...HALF }]) });
    for (let n = 1; n <= 20; n++) fed.look(exposed({ a: 900 * n, b: 100 * n }));
    fed.stage.register(registryOf([], 2));
    tick(fed);
    const commit = fed.commit();
    const back = registryOf([{ id: 'e', versions: { 1: { a: 0.9, b: 0.1 } } }], 3);
    const restarted = new WatchedFed({ registered: back, commits: [commit] });
    fed.stage.register(back);
    for (const one of [fed, restarted]) {
      one.look(exposed({ a: 18_900, b: 2_100 }), { position: 100, emission: 100 });
      expect(one.experiment('e').exposures).toMatchObject({ units: 21_000, alarmUnits: null });
      expect(one.experiment('e').exposures.lnE).toBeLessThan(0);
      expect(one.alerts).toEqual([]);
    }
  });

  it('and written anew at once is none: its alert goes on', () => {
    const registered = (version: number) => registryOf([{ id: 'e', ...HALF }], version);
    const fed = new WatchedFed({ registered: registered(1) });
    fed.look(exposed({ a: 900, b: 100 }));
    const [{ id }] = fed.alerts;
    fed.stage.register(registryOf([], 2));
    fed.look(exposed({ a: 905, b: 100 }));
    fed.stage.register(registered(3));
    tick(fed);
    fed.look(exposed({ a: 910, b: 100 }));
    expect(fed.alerts.map((alert) => alert.id)).toEqual([id]);
  });

  it('is reported as not registered', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', ...HALF }]) });
    fed.look(exposed({ a: 50, b: 50 }));
    fed.writes();
    fed.stage.register(registryOf([], 2));
    for (const ms of [100_000, 111_000]) fed.integrity.ticked(at(ms));
    const out = fed.stage.emit(at(115_000), heardAt(115_000), true);
    const report = out?.writes.find(({ key }) => key === 'srm:{e}')?.fields['report'];
    expect(JSON.parse(report ?? '{}')).toMatchObject({ state: 'unregistered', units: 100 });
  });
});

describe('a new phase', () => {
  const registered = (startedAtMs: number, version: number) => registryOf([{ id: 'e', ...HALF, more: { startedAtMs } }], version);

  it('ends what was found in the one before, though nothing is found in it', () => {
    const fed = new WatchedFed({ registered: registered(START, 1) });
    fed.look([...exposed({ a: 900, b: 100 }), ...contaminated(200)]);
    expect(fed.alerts.map(({ kind }) => kind).sort()).toEqual(['contamination', 'srm']);
    fed.lookLater(30_000);
    fed.stage.register(registered(START + 5000, 2));
    expect(fed.alerts).toEqual([]);
    expect(everything(fed).map(({ endedBy, endedAtMs }) => [endedBy, endedAtMs])).toEqual([
      ['new_phase', START + 30_000],
      ['new_phase', START + 30_000],
    ]);
  });

  it('is not blamed for units of the one before that come back in another variant: they are held against all that are known', () => {
    const fed = new WatchedFed({ registered: registered(START, 1) });
    fed.look(exposed({ a: 50_000, b: 50_000 }));
    fed.stage.register(registered(START + 5000, 2));
    fed.look([...exposed({ a: 50_040, b: 50_040 }), ...contaminated(25)]);
    expect(fed.alerts).toEqual([]);
    fed.look([...exposed({ a: 50_041, b: 50_041 }), ...contaminated(2000)]);
    expect(fed.alertsOf('contamination')[0].facts).toMatchObject({ contaminated: 2000, units: 100_082 });
  });
});

describe('an experiment that has ended', () => {
  const endedAtMs = START + 60_000;
  const registered = registryOf([{ id: 'e', ...HALF, more: { endedAtMs } }]);

  it('is no longer tested once event time has come to its end: stragglers are no evidence', () => {
    const fed = new WatchedFed({ registered });
    fed.look(exposed({ a: 500, b: 500 }), { watermarkMs: START });
    fed.look(exposed({ a: 1500, b: 500 }), { watermarkMs: endedAtMs });
    expect(fed.experiment('e').exposures).toMatchObject({ looks: 1, units: 1000, alarmUnits: null });
    expect(fed.alerts).toEqual([]);
    expect(fed.experiment('e').tallies.exposed.units).toBe(2000);
  });

  it('is none of those that run, for decisions over all', () => {
    const fed = new WatchedFed({ registered });
    fed.look(exposed({ a: 500, b: 560 }), { watermarkMs: START });
    const told = (now: number) => {
      const out = fed.stage.emit(at(now), heardAt(now), true);
      fed.stage.delivered(FINE, at(now));
      for (const { value } of out?.records ?? []) fed.raw(value);
      return fed.stage.state.fleet.latest(2)[0].from.done;
    };
    expect(told(2000)).toBe(false);
    fed.look([], { watermarkMs: endedAtMs });
    expect(told(4000)).toBe(true);
  });
});

describe('a variant that nobody registered', () => {
  it('is named when it is exposed, though it was seen before: among the assignments', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', ...HALF }]) });
    fed.look([...exposed({ a: 50, b: 50 }), ...cells('assigned', 'e', { z: 5 })]);
    expect(fed.alerts).toEqual([]);
    fed.look(exposed({ a: 51, b: 51, z: 1 }));
    expect(fed.alertsOf('experiment_registry')[0]?.facts).toEqual({ problems: ['the variant z has units and is not registered'] });
  });

  it('costs nothing, however many there are: the tests know only those that are registered', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', ...HALF }]) });
    fed.look(exposed(Object.fromEntries([...Array(5000).keys()].map((n) => [`v${n}`, 1]))));
    fed.look(exposed({ a: 600, b: 400 }));
    const { exposures, hypotheses } = fed.experiment('e');
    expect([exposures.units, exposures.arms, hypotheses]).toEqual([1000, 2, 28]);
  });
});

describe('a test that gets another arm', () => {
  it('says the same after a restart: the onset’s evidence waits for its next step', () => {
    const versions = { 1: { a: 0.5, b: 0.5, c: 0 }, 2: { a: 0.4, b: 0.4, c: 0.2 } };
    const registered = registryOf([{ id: 'e', versions }]);
    const fed = new WatchedFed({ registered });
    for (let n = 1; n <= 5; n++) fed.look(exposed({ a: 520 * n, b: 480 * n }));
    fed.look(exposed({ a: 4, b: 4, c: 2 }, 2));
    const restarted = new WatchedFed({ registered, commits: [fed.commit()] });
    expect(restarted.experiment('e').exposures.lnE).toBe(fed.experiment('e').exposures.lnE);
    expect(fed.experiment('e').exposures.lnOnset).not.toBe(0);
  });
});

describe('reports', () => {
  it('of experiments in alarm go first', () => {
    const ids = Array.from({ length: 60 }, (_, i) => `e${i}`);
    const fed = new WatchedFed({ registered: registryOf(ids.map((id) => ({ id, ...HALF }))) });
    fed.look(ids.flatMap((id) => exposed(id === 'e59' ? { a: 900, b: 100 } : { a: 50, b: 50 }, 1, id)));
    const reports = fed.writes().filter(({ key }) => key.startsWith('srm:'));
    expect([reports.length, reports[0].key]).toEqual([50, 'srm:{e59}']);
    expect(reportOf(fed.experiment('e59'), srm)['state']).toBe('alarm');
  });
});

describe('a split changed in place', () => {
  it('is named as what it is, with a ticket: units of the split before are nothing to be woken for, also after a restart', () => {
    const registered = registryOf([{ id: 'e', versions: { 1: { a: 0.5, b: 0.5 } } }], 2);
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', versions: { 1: { a: 0.9, b: 0.1 } } }]) });
    fed.look(exposed({ a: 900, b: 100 }));
    fed.stage.register(registered);
    const restarted = new WatchedFed({ registered, commits: [fed.commit()] });
    for (const one of [fed, restarted]) {
      one.look(exposed({ a: 905, b: 105 }), { position: 9, emission: 9 });
      const [{ severity, facts, description }] = one.alertsOf('srm');
      expect([severity, facts['cause']]).toEqual(['ticket', 'allocation']);
      expect(description).toContain('the split was changed in place at unit 1,000');
    }
  });
});

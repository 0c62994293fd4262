import { describe, expect, it } from 'vitest';
import type { Commit } from '../../src/topology/types.ts';
import { START } from '../topology/drive.ts';
import { cells, registryOf, segment, WatchedFed } from './watched.ts';

const HALF = { versions: { 1: { a: 0.5, b: 0.5 } } };
const fedOf = (...experiments: Parameters<typeof registryOf>[0]): WatchedFed => new WatchedFed({ registered: registryOf(experiments) });
const exposed = (counts: Record<string, number>, version = 1, id = 'e') => cells('unitsTotal', id, counts, version);

describe('an experiment whose split is right', () => {
  it('is looked at and not alerted about', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    for (let units = 100; units <= 20_000; units += 100) fed.look(exposed({ a: units + 3, b: units }));
    expect(fed.alerts).toEqual([]);
    expect(fed.experiment('e').exposures.looks).toBe(200);
    expect(fed.experiment('e').exposures.lnE).toBeLessThan(0);
  });

  it('may ramp up: units are held against the split of their version', () => {
    const fed = fedOf({ id: 'e', versions: { 1: { a: 0.9, b: 0.1 }, 2: { a: 0.5, b: 0.5 } } });
    for (let n = 1; n <= 20; n++) fed.look(exposed({ a: 900 * n, b: 100 * n }));
    for (let n = 1; n <= 20; n++) fed.look(exposed({ a: 500 * n, b: 500 * n }, 2));
    expect(fed.alerts).toEqual([]);
  });
});

describe('an experiment whose split is wrong', () => {
  it('is paged about, with what is known', () => {
    const fed = fedOf({ id: 'e', ...HALF, more: { startedAtMs: START } });
    for (let n = 1; n <= 30; n++) fed.look(exposed({ a: 520 * n, b: 480 * n }), { watermarkMs: START + n * 1000 });
    const [alert] = fed.alertsOf('srm');
    expect(alert).toMatchObject({
      severity: 'page',
      owner: 'growth',
      phase: new Date(START).toISOString(),
      summary: 'e: b gets too few units, from the start',
      holds: true,
    });
    expect(alert.facts).toMatchObject({ onset_units: 0, stage: 'unknown', cause: 'bucketing', keeps_before_onset: false, culprit: null });
    expect(alert.description).toContain('no assignments are logged');
    expect(alert.description).toContain('Nothing before the onset can be kept');
    expect(fed.alerts).toHaveLength(1);
  });

  it('after a healthy time: the onset is dated, and what came before can be kept', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    for (let n = 1; n <= 115; n++) {
      const broken = Math.max(0, n - 100) * 60;
      fed.look(exposed({ a: 500 * n + broken, b: 500 * n - broken }), { watermarkMs: START + n * 1000 });
    }
    const [alert] = fed.alertsOf('srm');
    expect(alert.facts).toMatchObject({ onset_units: 100_000, onset_ms: START + 100_000, keeps_before_onset: true });
    expect(alert.summary).toContain('since about unit 100,000 (');
    expect(alert.severity).toBe('page');
  });

  it('is named with the segment that does it, and found there first', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    const told: number[] = [];
    for (let n = 1; n <= 400 && fed.alertsOf('srm').length === 0; n++) {
      const old = { a: 60 * n, b: 40 * n };
      const rest = { a: 950 * n, b: 950 * n };
      fed.look([
        ...exposed({ a: old.a + rest.a, b: old.b + rest.b }),
        ...segment('e', old, ['sdk_version', '4.1']),
        ...segment('e', rest, ['sdk_version', '4.2']),
        ...segment('e', { a: 505 * n, b: 495 * n }, ['country', 'DE']),
        ...segment('e', { a: 505 * n, b: 495 * n }, ['country', 'FR']),
      ]);
      if (fed.alertsOf('srm_segment').length === 1 && told.length === 0) told.push(n * 2000);
    }
    expect(told[0]).toBeLessThanOrEqual(20_000);
    expect(fed.alertsOf('srm_segment')[0].summary).toBe('e: the split is broken in sdk_version 4.1');
    const [{ facts, summary }] = fed.alertsOf('srm');
    expect(facts).toMatchObject({ cause: 'client_release', culprit: { dimension: 'sdk_version', value: '4.1' } });
    expect(summary).toContain('in sdk_version 4.1');
  });

  it('by less than anybody should be woken for is a ticket', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    fed.look(exposed({ a: 100_100_000, b: 99_900_000 }));
    expect(fed.alertsOf('srm')[0]).toMatchObject({ severity: 'ticket' });
  });

  it('is said to be so no longer when it recovers, and why that may be; the alert stays', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    fed.look(exposed({ a: 600, b: 400 }));
    for (let n = 1; n <= 20; n++) fed.look(exposed({ a: 600 + 500 * n, b: 600 + 500 * n }));
    const [alert] = fed.alertsOf('srm');
    expect(alert).toMatchObject({ holds: false, facts: { cause: 'late_logs' } });
  });
});

describe('the stage', () => {
  const assigned = (counts: Record<string, number>) => cells('assigned', 'e', counts);

  it('is the assignment when that is split wrongly', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    for (let n = 1; n <= 10; n++) {
      fed.look(assigned({ a: 600 * n, b: 400 * n }), { stream: 'assignments' });
      fed.look(exposed({ a: 540 * n, b: 360 * n }));
    }
    expect(fed.alertsOf('srm')[0].facts).toMatchObject({ stage: 'assignment', cause: 'bucketing' });
  });

  it('is the exposure when assigned units of one variant are exposed less', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    for (let n = 1; n <= 10; n++) {
      fed.look(assigned({ a: 1000 * n, b: 1000 * n }), { stream: 'assignments' });
      fed.look(exposed({ a: 900 * n, b: 600 * n }));
    }
    const [{ facts }] = fed.alertsOf('srm');
    expect(facts).toMatchObject({ stage: 'exposure', cause: 'exposure_path', exposure_rate_waits: [] });
    expect(facts['log_e_exposure_rate']).toBeGreaterThan(20);
  });

  it('waits, and says so, while exposures are ahead of their assignments', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    fed.look(assigned({ a: 10, b: 10 }), { stream: 'assignments' });
    for (let n = 1; n <= 10; n++) fed.look(exposed({ a: 900 * n, b: 600 * n }));
    expect(fed.alertsOf('srm')[0].facts).toMatchObject({ stage: 'unknown', exposure_rate_waits: [1] });
  });
});

describe('what else is noticed', () => {
  it('a single unit where there should be none', () => {
    const fed = fedOf({ id: 'e', versions: { 1: { a: 0.5, b: 0.5, off: 0 } } });
    fed.look(exposed({ a: 50, b: 50 }));
    fed.look(exposed({ a: 60, b: 60, off: 1 }));
    expect(fed.alerts.map(({ kind, severity, summary }) => [kind, severity, summary])).toEqual([
      ['srm_leak', 'page', 'e: off should get nobody and gets units'],
    ]);
  });

  it('units in more than one variant, beyond what is tolerated', () => {
    const fed = fedOf({ id: 'e', ...HALF });
    const contaminated = (count: number) => [{ name: 'contaminated' as const, group: { entity: 'e' }, atMs: 0, values: [count] }];
    fed.look([...exposed({ a: 500, b: 500 }), ...contaminated(12)]);
    expect(fed.alerts).toEqual([]);
    fed.look([...exposed({ a: 2500, b: 2500 }), ...contaminated(150)]);
    expect(fed.alerts.map(({ kind }) => kind)).toEqual(['contamination']);
  });

  it('a registry that does not add up, names no version, or not the variant: counted, not tested', () => {
    const fed = fedOf({ id: 'e', versions: { 1: { a: 0.5, b: 0.4 } } }, { id: 'f', ...HALF }, { id: 'g', ...HALF });
    fed.look([...exposed({ a: 9000, b: 1000 }), ...exposed({ a: 500, b: 500 }, 7, 'f'), ...exposed({ a: 500, b: 500, z: 900 }, 1, 'g')]);
    expect(fed.alerts.map(({ kind, subject, facts }) => [kind, subject.id, facts['problems']])).toEqual([
      ['experiment_registry', 'e', ['the shares of allocation version 1 add to 0.9, not to 1']],
      ['experiment_registry', 'f', ['units say allocation version 7, which is not registered']],
      ['experiment_registry', 'g', ['the variant z has units and is not registered']],
    ]);
    expect(fed.experiment('g').exposures.units).toBe(1000);
  });

  it('an experiment nobody registered is counted and nothing else, until it is registered', () => {
    const fed = fedOf();
    fed.look(exposed({ a: 900, b: 100 }));
    expect(fed.alerts).toEqual([]);
    fed.stage.register(registryOf([{ id: 'e', ...HALF }], 2));
    fed.look(exposed({ a: 901, b: 100 }));
    expect(fed.alertsOf('srm')).toHaveLength(1);
  });

  it('several splits in force while every unit says 1: reported, never called a broken split', () => {
    const fromMs = { 2: START + 1000 };
    const fed = fedOf({ id: 'e', versions: { 1: { a: 0.9, b: 0.1 }, 2: { a: 0.5, b: 0.5 } }, fromMs });
    fed.look(exposed({ a: 900, b: 100 }), { watermarkMs: START - 30_000 });
    // From the ramp on: the watermark is 30 s behind its first units.
    for (let n = 1; n <= 5; n++) fed.look(exposed({ a: 900 + 500 * n, b: 100 + 500 * n }), { watermarkMs: START - 29_000 + 200 * n });
    expect(fed.alerts.map(({ kind }) => kind)).toEqual(['unversioned']);
    expect(fed.experiment('e').exposures.looks).toBe(1);
  });

  it('a unit whose variant its hash does not give', () => {
    const fed = fedOf({ id: 'e', ...HALF, more: { hash: 'md5_mod_100' } });
    fed.look(exposed({ a: 5, b: 5 }));
    const group = { entity: 'e', version: 1, variant: 'a' };
    // md5('u1:e') mod 100 is 78, md5('u2:e') mod 100 is 15.
    fed.integrity.sampled(group, 'u2');
    fed.look(exposed({ a: 6, b: 5 }));
    expect(fed.alerts).toEqual([]);
    fed.integrity.sampled(group, 'u1');
    fed.look(exposed({ a: 7, b: 5 }));
    expect(fed.alerts.map(({ kind, facts }) => [kind, facts['checked'], facts['mismatched']])).toEqual([['hash_mismatch', 2, 1]]);
  });
});

describe('phases', () => {
  it('a new start is a new experiment: what was counted before is taken off, also after a restart', () => {
    const registered = (startedAtMs: number, version: number) => registryOf([{ id: 'e', ...HALF, more: { startedAtMs } }], version);
    const fed = new WatchedFed({ registered: registered(START, 1) });
    fed.look(exposed({ a: 900, b: 100 }));
    const [first] = fed.alertsOf('srm');
    fed.stage.register(registered(START + 5000, 2));
    fed.look(exposed({ a: 1400, b: 600 }));
    expect(fed.experiment('e').exposures).toMatchObject({ units: 1000, alarmUnits: null });
    const restarted = new WatchedFed({ registered: registered(START + 5000, 2), commits: [fed.commit()] });
    restarted.look(exposed({ a: 2000, b: 600 }));
    expect(restarted.experiment('e').exposures.units).toBe(1600);
    const [second] = restarted.alertsOf('srm');
    expect(second.id).not.toBe(first.id);
  });

  it('a split corrected in place begins the tests anew', () => {
    const fed = new WatchedFed({ registered: registryOf([{ id: 'e', ...HALF }]) });
    fed.look(exposed({ a: 900, b: 100 }));
    fed.stage.register(registryOf([{ id: 'e', versions: { 1: { a: 0.9, b: 0.1 } } }], 2));
    fed.look(exposed({ a: 910, b: 101 }));
    expect(fed.alertsOf('srm')[0].holds).toBe(false);
    expect(fed.experiment('e').exposures).toMatchObject({ units: 1011, alarmUnits: null });
  });
});

describe('a crash', () => {
  const registered = registryOf([{ id: 'e', versions: { 1: { a: 0.5, b: 0.5 }, 2: { a: 0.3, b: 0.7 } }, more: { hash: 'md5_mod_100' } }]);
  const emissions = Array.from({ length: 60 }, (_, n) => [
    ...exposed({ a: 520 * n, b: 480 * n + 1 }),
    ...cells('assigned', 'e', { a: 600 * n, b: 600 * n }),
    ...exposed({ a: 31 * n, b: 69 * n }, 2),
    ...segment('e', { a: 260 * n, b: 240 * n }, ['country', 'DE']),
  ]);
  /** Everything that is decided, in one text. */
  const verdictOf = (fed: WatchedFed): string => {
    const { exposures, assignments, rate } = fed.experiment('e');
    const numbers = [exposures, assignments].map((test) => [test.lnE, test.lnEMax, test.alarmUnits, test.onset, [...test.processes.lnA]]);
    return JSON.stringify([numbers, rate.lnE, fed.alerts]);
  };

  it('changes nothing of what is decided: the same e-values, onset and alerts, wherever it happens', () => {
    const whole = new WatchedFed({ registered });
    for (const emission of emissions) whole.look(emission);
    for (const at of [1, 7, 20, 59]) {
      let fed = new WatchedFed({ registered });
      const commits: Commit[] = [];
      emissions.forEach((emission, n) => {
        fed.look(emission);
        if (n % 5 === at % 5) commits.push(fed.commit());
        if (n !== at) return;
        commits.push(fed.commit());
        // The registry answers late: the looks of a replay are taken with the rows of before.
        fed = new WatchedFed({ registered: n % 2 === 0 ? registered : ({ ...registered, experiments: undefined } as never), commits });
      });
      expect(verdictOf(fed)).toBe(verdictOf(whole));
    }
  });

  it('in the middle of an emission takes the look when the rest has come, and not at another source’s', () => {
    const half = { part: 0, parts: 2 };
    const fed = new WatchedFed({ registered });
    fed.look(exposed({ a: 900 }), {}, half);
    fed.look(exposed({ a: 3, b: 3 }, 1, 'f'), { partition: 1 });
    expect(fed.experiment('e').exposures.looks).toBe(0);
    const restarted = new WatchedFed({ registered, commits: [fed.commit()] });
    restarted.look(exposed({ b: 880 }), { emission: 1, position: 1 }, { part: 1, parts: 2 });
    expect(restarted.experiment('e').exposures).toMatchObject({ looks: 1, units: 1780, alarmUnits: null });
    expect(restarted.alerts).toEqual([]);
  });
});

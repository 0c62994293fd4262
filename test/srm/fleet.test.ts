import { describe, expect, it } from 'vitest';
import { fleetDraft } from '../../src/srm/drafts.ts';
import { at, FINE, heardAt, srm } from '../topology/fed.ts';
import { cells, registryOf, WatchedFed } from './watched.ts';

const HALF = { versions: { 1: { a: 0.5, b: 0.5 } } };
const names = ['one', 'two', 'three', 'four'];
const exposed = (id: string, a: number, b: number) => cells('unitsTotal', id, { a, b });

/** What the task tells partition 0 now, taken there. */
function tell(fed: WatchedFed, nowMs: number): number {
  const out = fed.stage.emit(at(nowMs), heardAt(nowMs), true);
  fed.stage.delivered(FINE, at(nowMs));
  for (const { value } of out?.records ?? []) fed.raw(value);
  return out?.records.length ?? 0;
}

describe('among all running experiments', () => {
  const registered = registryOf(names.map((id) => ({ id, ...HALF })));

  it('one that stands out is a ticket, though it is not certain by itself; the others are not', () => {
    const fed = new WatchedFed({ registered });
    fed.look(names.flatMap((id) => exposed(id, 500, id === 'two' ? 640 : 505)));
    expect(fed.experiment('two').exposures.lnE).toBeGreaterThan(Math.log(4 / 0.05));
    expect(fed.experiment('two').exposures.alarmUnits).toBe(null);
    expect(tell(fed, 2000)).toBe(1);
    fed.lookLater(2000);
    expect(fed.alerts.map(({ kind, severity, subject }) => [kind, severity, subject.id])).toEqual([['srm_fleet', 'ticket', 'two']]);
  });

  it('the same evidence among many more is none', () => {
    const many = Array.from({ length: 60 }, (_, i) => `e${i}`);
    const fed = new WatchedFed({ registered: registryOf(many.map((id) => ({ id, ...HALF }))) });
    fed.look(many.flatMap((id) => exposed(id, 500, id === 'e7' ? 640 : 505)));
    tell(fed, 2000);
    fed.lookLater(2000);
    expect(fed.alerts).toEqual([]);
  });

  it('one that is certain by itself is not named a second time', () => {
    const fed = new WatchedFed({ registered });
    fed.look(names.flatMap((id) => exposed(id, 500, id === 'two' ? 900 : 505)));
    tell(fed, 2000);
    fed.lookLater(2000);
    expect(fed.alerts.map(({ kind }) => kind)).toEqual(['srm']);
  });

  it('what was decided is kept, and cleared when the evidence goes', () => {
    const fed = new WatchedFed({ registered });
    fed.look(names.flatMap((id) => exposed(id, 500, id === 'two' ? 640 : 505)));
    tell(fed, 2000);
    fed.lookLater(2000);
    const restarted = new WatchedFed({ registered, commits: [fed.commit()] });
    expect(restarted.alertsOf('srm_fleet')[0].holds).toBe(true);
    restarted.look(exposed('two', 5600, 5640));
    tell(restarted, 4000);
    restarted.lookLater(4000);
    expect(restarted.alertsOf('srm_fleet')[0].holds).toBe(false);
  });

  it('one that has a page of its own is not named a second time, also when its evidence has fallen since', () => {
    const fed = new WatchedFed({ registered });
    fed.look([...exposed('one', 500, 500), ...exposed('two', 300, 430)]);
    expect(fed.alertsOf('srm')).toHaveLength(1);
    fed.look(exposed('two', 336, 452));
    expect(fed.experiment('two').exposures.lnE).toBeGreaterThan(Math.log(4 / 0.05));
    expect(fed.experiment('two').exposures.lnE).toBeLessThan(Math.log(1000));
    tell(fed, 2000);
    fed.lookLater(2000);
    expect(fed.alertsOf('srm_fleet')).toEqual([]);
  });

  it('a ticket ends with its experiment: taken out, or begun anew; also while nobody evaluated', () => {
    const rows = (version: number, more = {}) =>
      registryOf(
        names.map((id) => ({ id, ...HALF, more })),
        version,
      );
    const ticketed = () => {
      const fed = new WatchedFed({ registered });
      fed.look(names.flatMap((id) => exposed(id, 500, id === 'two' ? 640 : 505)));
      tell(fed, 2000);
      fed.lookLater(2000);
      expect(fed.alertsOf('srm_fleet')).toHaveLength(1);
      return fed;
    };
    const gone = registryOf(
      names.filter((id) => id !== 'two').map((id) => ({ id, ...HALF })),
      2,
    );
    const live = ticketed();
    live.stage.register(gone);
    expect(live.alertsOf('srm_fleet')).toEqual([]);
    expect(new WatchedFed({ registered: gone, commits: [ticketed().commit()] }).alertsOf('srm_fleet')).toEqual([]);
    const anew = ticketed();
    anew.stage.register(rows(2, { startedAtMs: 1e12 }));
    expect(anew.alertsOf('srm_fleet')).toEqual([]);
  });

  it('the share that may be healthy is the one that was set', () => {
    const settings = { ...srm, fleetAlpha: 0.1 };
    expect(fleetDraft({ id: 'e', owner: '', phase: '', lnE: 5, isAlarmed: false }, 9, settings.fleetAlpha).description).toContain(
      'at most 10 % are healthy',
    );
  });
});

/** What Postgres gets of an hour that has changed. */
import type { HourlyRow } from '../sinks/totals.ts';
import type { Hour } from './evaluate-hours.ts';
import type { EvaluateState } from './evaluate-state.ts';
import { CELLS, type CellName } from './partials.ts';

const HOUR_MS = 3_600_000;

/** All that evaluate knows of one hour, over all sources. */
export function hourlyRow({ totals, groups }: EvaluateState, { kind, group, hour }: Hour): HourlyRow {
  const { entity, version, variant } = groups[group];
  const value = (name: CellName, time: number, column: number): number => {
    const index = totals[name].find(group, 0, time);
    return index === -1 ? 0 : totals[name].get(index, column);
  };
  const slots = HOUR_MS / CELLS.spend.slotMs;
  const spend = (column: number): number => [...Array(slots).keys()].reduce((sum, i) => sum + value('spend', hour * slots + i, column), 0);
  const evidence = (column: number): number =>
    kind === 'spend'
      ? value('spendEvidence', hour, column)
      : column % 2 === 0 && column < 6
        ? value('exposureEvidence', hour, column / 2)
        : 0;
  return {
    kind,
    entityId: entity,
    allocationVersion: kind === 'spend' ? 0 : version,
    variantId: kind === 'spend' ? '' : variant,
    hourMs: hour * HOUR_MS,
    spendMicros: kind === 'spend' ? spend(0) : 0,
    impressions: kind === 'spend' ? spend(1) : 0,
    units: kind === 'exposure' ? value('units', hour, 0) : 0,
    lateRecords: evidence(0),
    lateMicros: evidence(1),
    duplicateRecords: evidence(2),
    duplicateMicros: evidence(3),
    suspectedRecords: evidence(4),
    suspectedMicros: evidence(5),
    invalidTrafficRecords: evidence(6),
    invalidTrafficMicros: evidence(7),
  };
}

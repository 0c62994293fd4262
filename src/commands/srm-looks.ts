/** What a file of looks came to, an experiment a line. */
import type { ExperimentTest } from '../srm/experiment-test.ts';
import type { LooksResult } from '../srm/looks-file.ts';
import { probability, timesText } from '../srm/words.ts';
import { pValueOf } from '../stats/dirichlet-multinomial.ts';

export interface LooksReport {
  experiment_id: string;
  looks: number;
  units: number;
  /** ln of the average of the cumulative and the onset e-value, at the last look. */
  log_e: number;
  /** The least over all looks. */
  p_value: number;
  alarm: boolean;
  /** Units at the look that fired; null without an alarm. */
  alarm_n: number | null;
  /** Units at the estimated onset; null without an alarm. */
  onset_n: number | null;
  log_e_cumulative: number;
  log_e_onset: number;
}

export const looksReport = ({ experimentId, test }: LooksResult): LooksReport => {
  const alarm = alarmOf(test);
  return {
    experiment_id: experimentId,
    looks: test.looks,
    units: test.units,
    log_e: test.lnE,
    p_value: pValueOf(test.lnEMax),
    alarm: alarm !== null,
    alarm_n: alarm?.units ?? null,
    onset_n: alarm?.onsetUnits ?? null,
    log_e_cumulative: test.lnCumulative,
    log_e_onset: test.lnOnset,
  };
};

/** What came first: evidence, which dates its onset itself, or a leak, which begins with its first unit. */
function alarmOf({ alarmUnits, onset, leak }: ExperimentTest): { units: number; onsetUnits: number } | null {
  if (alarmUnits !== null && (leak === null || alarmUnits <= leak.units)) return { units: alarmUnits, onsetUnits: onset?.units ?? 0 };
  return leak === null ? null : { units: leak.units, onsetUnits: leak.before.units };
}

export function looksText(results: readonly LooksResult[], alpha: number): string {
  const lines = results.map((result) => sentence(looksReport(result)));
  const broken = results.filter(({ test }) => alarmOf(test) !== null).length;
  const end = `${results.length} experiment${results.length === 1 ? '' : 's'}, ${broken} with a broken split (alarm at p ≤ ${alpha}, however often looked at).`;
  return `${[...lines, end].join('\n')}\n`;
}

function sentence({ experiment_id, units, log_e, p_value, alarm_n, onset_n }: LooksReport): string {
  const seen = `${experiment_id}: ${units.toLocaleString('en-US')} units, e = ${timesText(log_e)}, p = ${probability(p_value)}`;
  if (alarm_n === null) return `${seen}. No alarm.`;
  const onset = onset_n === null || onset_n === 0 ? 'from the start' : `since about unit ${onset_n.toLocaleString('en-US')}`;
  return `${seen}. Broken, ${onset}; known at unit ${alarm_n.toLocaleString('en-US')}.`;
}

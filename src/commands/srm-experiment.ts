/** What evaluate knows of a running experiment: the report it keeps in Redis. */
import type { Settings } from '../config.ts';
import { asError, StreamError } from '../errors.ts';
import { connected, openRedis } from '../sinks/redis-client.ts';
import { reportKey } from '../srm/reports.ts';
import { grouped, percent, probability, timesText } from '../srm/words.ts';

const PATIENCE_MS = 5000;

export interface ExperimentReport {
  experiment_id: string;
  state: string;
  units: number;
  contaminated: number;
  registry_problems: string[];
  log_e: number | null;
  p_value: number | null;
  arms?: { variant: string; units: number; expected: number; interval: [number, number]; expected_share: number }[];
  onset_units?: number | null;
  onset_ms?: number | null;
  keeps_before_onset?: boolean;
  stage?: string;
  stage_why?: string;
  culprit?: { dimension: string; value: string } | null;
  cause_why?: string;
  alarm_units?: number | null;
}

/**
 * The report, or null where nothing is known of such an experiment.
 * @throws StreamError redis_unreachable
 */
export async function readReport(settings: Settings, experimentId: string): Promise<ExperimentReport | null> {
  const redis = openRedis(settings.env.REDIS_URL);
  // Told by the command that fails.
  redis.on('error', () => {});
  try {
    await connected(redis, PATIENCE_MS);
    const text = await redis.hget(`${settings.env.REDIS_KEY_PREFIX}${reportKey(experimentId)}`, 'report');
    return text === null ? null : (JSON.parse(text) as ExperimentReport);
  } catch (cause) {
    throw new StreamError('redis_unreachable', `Redis does not answer: ${asError(cause).message}.`, { cause });
  } finally {
    redis.disconnect();
  }
}

const STATES: Record<string, string> = {
  alarm: 'is broken',
  healthy: 'is as registered, as far as can be told',
  recovered: 'was broken and is as registered again',
  unversioned: 'cannot be tested: several are registered, and every unit says version 1',
  untested: 'cannot be tested yet',
  unregistered: 'is not registered any more, so it is counted and not tested',
};

export function reportText(report: ExperimentReport): string {
  const lines = [`The split of ${report.experiment_id} ${STATES[report.state] ?? report.state} (${grouped(report.units)} units).`];
  for (const problem of report.registry_problems) lines.push(`Registry: ${problem}.`);
  for (const { variant, units, expected, interval, expected_share } of report.arms ?? [])
    lines.push(
      `  ${variant.padEnd(24)} ${grouped(units).padStart(14)} units, expected ${grouped(Math.round(expected)).padStart(14)} (${percent(expected_share)}); true share ${percent(interval[0])} to ${percent(interval[1])}`,
    );
  if (report.log_e !== null && report.p_value !== null)
    lines.push(`e = ${timesText(report.log_e)}, p = ${probability(report.p_value)}, however often looked at.`);
  if (report.contaminated > 0) lines.push(`${grouped(report.contaminated)} units met more than one variant.`);
  if (report.state === 'alarm' || report.state === 'recovered') lines.push(...found(report));
  return `${lines.join('\n')}\n`;
}

function found({
  onset_units,
  onset_ms,
  keeps_before_onset,
  stage,
  stage_why,
  culprit,
  cause_why,
  alarm_units,
}: ExperimentReport): string[] {
  const when = onset_ms == null ? '' : ` (${new Date(onset_ms).toISOString()})`;
  const since = onset_units == null || onset_units === 0 ? 'from the start' : `since about unit ${grouped(onset_units)}${when}`;
  return [
    `Onset: ${since}${alarm_units == null ? '' : `; certain at unit ${grouped(alarm_units)}`}.`,
    `Stage: ${stage}, because ${stage_why}.`,
    culprit == null ? 'Culprit: no single part of the traffic.' : `Culprit: ${culprit.dimension} ${culprit.value}.`,
    `Likely cause: ${cause_why}.`,
    keeps_before_onset ? 'The data before the onset can be kept.' : 'The data before the onset cannot be kept.',
  ];
}

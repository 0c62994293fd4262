/** `curve`: learns the curves of campaigns that pace by prediction; daily, by cron. Needs Postgres only. */
import { openPool } from '../sinks/postgres-client.ts';
import { CURVE_DAYS, type LearnedCurve, learnCurves } from '../sinks/postgres-curves.ts';
import { type CommonOptions, type Host, printJson, settingsOf } from './host.ts';

const NAMED = 20;

/** Resolves with the exit code; rejects with what is wrong with Postgres. */
export async function curveCommand(host: Host, options: CommonOptions): Promise<number> {
  const settings = settingsOf(host, options);
  const pool = openPool(settings.env.DATABASE_URL, 1, 0);
  try {
    const curves = await learnCurves(pool);
    if (options.json) for (const { campaignId, days, learned } of curves) printJson(host, { campaign_id: campaignId, days, learned });
    else print(host, curves);
    warn(host, curves);
    return 0;
  } finally {
    await pool.end();
  }
}

function print(host: Host, curves: readonly LearnedCurve[]): void {
  const even = curves.filter(({ learned }) => !learned);
  host.out.write(`${curves.length - even.length} of ${curves.length} predicted curves learned from ${CURVE_DAYS} days of spend.\n`);
  if (even.length === 0) return;
  host.out.write(`The others are paced evenly until there is enough to learn from:\n`);
  for (const { campaignId, days } of even.slice(0, NAMED))
    host.out.write(`  ${campaignId}: ${days < CURVE_DAYS ? `${days} of ${CURVE_DAYS} days` : 'no spend in them'}\n`);
  if (even.length > NAMED) host.out.write(`  and ${even.length - NAMED} more (--json lists all)\n`);
}

/** As the registry warns of them when it is read. */
function warn(host: Host, curves: readonly LearnedCurve[]): void {
  const bad = curves.filter(({ unknownZone }) => unknownZone !== null);
  for (const { campaignId, unknownZone } of bad.slice(0, NAMED))
    host.err.write(`exposure-stream: campaign ${campaignId}: unknown time zone ${unknownZone}; UTC is used.\n`);
  if (bad.length > NAMED) host.err.write(`exposure-stream: and ${bad.length - NAMED} more with an unknown time zone.\n`);
}

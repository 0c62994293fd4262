/**
 * `npm run bench:reconcile`: a reconcile over 10 M billable rows in 100,800 campaign-hours (700 campaigns, the days that every
 * hourly run looks at), on a Postgres started for it. Prints seconds and the reconciler's own memory against their bars.
 * `--explain` also prints the plan of each query on these rows, `--write` puts figures and plans into docs/reconcile.md, `--rows N` takes fewer.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { PostgresReconcileStore } from '../reconcile/postgres-store.ts';
import * as sql from '../reconcile/queries.ts';
import { Reconciler } from '../reconcile/run.ts';
import { migrate } from '../src/sinks/migrations.ts';
import { openPool } from '../src/sinks/postgres-client.ts';
import { StaticRegistry } from '../src/sinks/registry.ts';
import { SystemClock } from '../src/topology/clock.ts';
import type { OutRecord } from '../src/topology/types.ts';
import { OPTIONS } from '../test/conformance/reconcile-bed.ts';
import { startServices } from '../test/services/index.ts';

const UNTIL = Date.UTC(2026, 2, 10);
const DAY = 86_400_000;
const FROM = UNTIL - 6 * DAY;
const CAMPAIGNS = 700;
const HOURS = 144;
const BARS = { seconds: 30, megabytes: 500 };

const value = (name: string, initial: number): number => {
  const at = process.argv.indexOf(name);
  return at === -1 ? initial : Number(process.argv[at + 1]);
};
const ROWS = value('--rows', 10_000_000);
const PAGE = join(import.meta.dirname, '..', 'docs', 'reconcile.md');
/** The last heading that people wrote; what follows is made here. */
const SECTION = '## Figures and plans\n';

/** Every hour lacks a tenth, which came late. */
const LOSE_ADJUSTMENTS = `
  update exposure_stream.stream_count set adjusted_spend_micros = null, adjusted_impressions = null, adjusted_run = null,
    adjusted_cut_event = null, adjusted_cut_booked = null, spend_micros = spend_micros - spend_micros / 10, late_micros = spend_micros / 10
  where kind = 'spend' and late_micros = 0`;

const said: string[] = [];
const say = (text: string): void => {
  said.push(text);
  console.log(text);
};

if (process.argv.includes('--child')) await child(process.argv[process.argv.indexOf('--child') + 1]);
else await main();

/** The run alone, so that memory is its own. Prints one line of JSON. */
async function child(url: string): Promise<void> {
  const clock = new SystemClock();
  let records = 0;
  const send = async (sent: readonly OutRecord[]): Promise<void> => {
    records += sent.length;
  };
  const writer = { send, close: async () => {} };
  const inputs = { spend: { topic: 'impressions', partitions: 1 }, exposure: { topic: 'exposures', partitions: 1 } };
  const reconciler = new Reconciler({
    store: new PostgresReconcileStore(openPool(url, 4, 0), { clock }),
    writer,
    registry: new StaticRegistry(),
    partialsTopic: 'partials',
    expected: async () => ({ inputs, partialsPartitions: 1 }),
    clock,
    options: OPTIONS,
    versions: { code: 'bench', config: 'bench' },
  });
  const began = performance.now();
  const { summary, status } = await reconciler.run({ untilMs: UNTIL, scope: null, dryRun: false });
  const { matched, drifted } = summary.kinds.spend.states;
  const seconds = (performance.now() - began) / 1000;
  const megabytes = process.resourceUsage().maxRSS / 1024;
  console.log(JSON.stringify({ status, compared: matched + drifted, drifted, adjusted: summary.adjusted, records, seconds, megabytes }));
  process.exit(0);
}

async function main(): Promise<void> {
  const services = await startServices({ postgres: true, own: true });
  try {
    await migrate(services.databaseUrl, { log: pino({ level: 'silent' }) });
    const client = new Client({ connectionString: services.databaseUrl });
    client.on('error', () => undefined); // the server ends with the services
    await client.connect();
    await fill(client);
    const first = runChild('first run, one hour in fifty differs', services.databaseUrl);
    const second = runChild('again', services.databaseUrl);
    await client.query(LOSE_ADJUSTMENTS);
    const worst = runChild('every hour differs', services.databaseUrl);
    if (process.argv.includes('--explain') || process.argv.includes('--write')) await explain(client);
    await client.end();
    const met = [first, second, worst].every(({ seconds, megabytes }) => seconds <= BARS.seconds && megabytes <= BARS.megabytes);
    say(`\nbars: ${BARS.seconds} s, ${BARS.megabytes} MB: ${met ? 'met' : 'NOT met'}`);
    process.exitCode = met && second.drifted === 0 ? 0 : 1;
    if (process.argv.includes('--write')) write();
  } finally {
    await services.stop();
  }
}

function write(): void {
  const [head] = readFileSync(PAGE, 'utf8').split(SECTION);
  const how = 'Printed by `npm run bench:reconcile -- --write` (a Postgres with its defaults but `fsync=off`, started for it):';
  writeFileSync(PAGE, `${head}${SECTION}\n${how}\n\n${said.join('\n').replaceAll('\n\n\n', '\n\n')}\n`);
}

async function fill(client: Client): Promise<void> {
  const began = performance.now();
  const parameters = [ROWS, CAMPAIGNS, HOURS, new Date(FROM)];
  await client.query(
    `insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, impressions, event_ts, booked_at)
     select 'e' || i, 'c' || i % $2::integer, 10000 + i % 50000, 1, $4::timestamptz + (i / $2::integer % $3::integer) * interval '1 hour' + i % 3600 * interval '1 second',
       $4::timestamptz + interval '7 day' from generate_series(0, $1::integer - 1) i`,
    parameters,
  );
  // The stream has the same, but for one hour in fifty, of which a tenth came late.
  await client.query(
    `insert into exposure_stream.stream_count (kind, entity_id, allocation_version, variant_id, hour, spend_micros, impressions, units, late_records,
       late_micros, duplicate_records, duplicate_micros, suspected_records, suspected_micros, invalid_traffic_records, invalid_traffic_micros,
       partials_partition, epoch, version)
     select 'spend', campaign_id, 0, '', hour, micros - late, impressions - late * impressions / micros, 0, late * impressions / micros, late, 0, 0, 0, 0, 0, 0, 0, 1, 1
     from (
       select campaign_id, hour, micros, impressions, case when hashtext(campaign_id || hour) % 50 = 0 then micros / 10 else 0 end as late
       from (select campaign_id, hour, sum(spend_micros)::bigint as micros, sum(impressions)::bigint as impressions
         from exposure_stream.truth_spend_hourly group by 1, 2) hours) counted`,
  );
  // Units that meet their experiment four times on average, as often late as early; the stream has counted each once.
  await client.query(
    `insert into exposure_stream.experiment_exposure (event_id, experiment_id, unit_id, variant_id, event_ts, booked_at)
     select 'x' || i, 'e' || unit % 20, 'u' || unit, 'v' || unit / 20 % 2, $3::timestamptz + hashint4(i)::bigint % $2 * interval '1 second', $3::timestamptz + interval '7 day'
     from (select i, i * 7919::bigint % ($1::integer / 4) as unit from generate_series(0, $1::integer - 1) i) met`,
    [ROWS / 5, HOURS * 1800, new Date(FROM + HOURS * 1_800_000)],
  );
  await client.query(
    `insert into exposure_stream.stream_count (kind, entity_id, allocation_version, variant_id, hour, spend_micros, impressions, units, late_records,
       late_micros, duplicate_records, duplicate_micros, suspected_records, suspected_micros, invalid_traffic_records, invalid_traffic_micros,
       partials_partition, epoch, version)
     select 'exposure', experiment_id, allocation_version, variant_id, hour, 0, 0, sum(units), 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1
     from exposure_stream.truth_exposure_hourly group by 2, 3, 4, 5`,
  );
  await client.query('update exposure_stream.truth_progress set complete_until = $1', [new Date(UNTIL)]);
  await client.query(
    `insert into exposure_stream.stream_position (partials_partition, topic, partition, origin, position, watermark_ms, idle, epoch, version)
     values (0, 'impressions', 0, 0, 1, 0, true, 1, 1), (0, 'exposures', 0, 0, 1, 0, true, 1, 1)`,
  );
  await client.query('vacuum analyze exposure_stream.billable_impression');
  await client.query('vacuum analyze exposure_stream.experiment_exposure');
  await client.query('vacuum analyze exposure_stream.stream_count');
  say(
    `${ROWS.toLocaleString('en-US')} billable rows and ${(ROWS / 5).toLocaleString('en-US')} exposures made in ${((performance.now() - began) / 1000).toFixed(0)} s`,
  );
}

interface Figures {
  compared: number;
  drifted: number;
  adjusted: number;
  seconds: number;
  megabytes: number;
}

function runChild(name: string, url: string): Figures {
  const { stdout, stderr } = spawnSync(process.execPath, [import.meta.filename, '--child', url], { encoding: 'utf8' });
  if (!stdout.includes('{')) throw new Error(stderr);
  const figures = JSON.parse(stdout) as Figures;
  const { compared, drifted, seconds, megabytes } = figures;
  say(
    `\n${name}: ${compared.toLocaleString('en-US')} campaign-hours compared, ${drifted.toLocaleString('en-US')} differ; ${seconds.toFixed(1)} s, ${megabytes.toFixed(0)} MB`,
  );
  return figures;
}

async function explain(client: Client): Promise<void> {
  const hour = UNTIL - 3_600_000;
  const touched = [['c1', 'c2', 'c3'], Array.from({ length: 3 }, () => new Date(hour))];
  const queries: [string, string, unknown[]][] = [
    ['Truth of seven days', sql.TRUTH.spend, [FROM, UNTIL, UNTIL + 8 * DAY, null]],
    ['Truth of one hour', sql.TRUTH.spend, [hour, UNTIL, UNTIL + 8 * DAY, null]],
    ['Stream of seven days', sql.STREAM.spend, [FROM, UNTIL]],
    [
      'Which locked hours were booked in again, of all bookings',
      sql.TOUCHED,
      [FROM, UNTIL + 9 * DAY, FROM + 7 * DAY - 1, FROM + 6 * DAY, FROM],
    ],
    ['Locked hours that were booked in again: the truth', sql.LOCKED_TRUTH, [...touched, UNTIL + 8 * DAY, null]],
    ['Locked hours that were booked in again: the stream', sql.LOCKED_STREAM, touched],
    ['Truth of seven days, of exposures', sql.TRUTH.exposure, [FROM, UNTIL, UNTIL + 8 * DAY, null]],
    ['Truth of one hour, of exposures', sql.TRUTH.exposure, [hour, UNTIL, UNTIL + 8 * DAY, null]],
    ['How far is history', sql.LOCK, []],
    ['Which run was decided later', sql.NEWER, ['nobody']],
    ['What stands adjusted', sql.STANDING, ['nobody', UNTIL - DAY]],
    ['The last run', sql.LAST_RUN, []],
    ['Interrupted runs', sql.PENDING, []],
    [
      'A day of one campaign, as the views show it',
      "select * from exposure_stream.stream_spend_hourly where campaign_id = 'c1' and hour >= $1",
      [new Date(UNTIL - DAY)],
    ],
  ];
  await client.query("set work_mem = '128MB'; set max_parallel_workers_per_gather = 0");
  for (const [name, text, values] of queries) {
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain (analyze, costs off, buffers off, summary on) ${text}`, values);
    say(`\n### ${name}\n\n\`\`\`\n${shortened(rows.map((row) => row['QUERY PLAN'])).join('\n')}\n\`\`\``);
  }
}

/** The eight hash partitions are read alike: the first stands for all. */
function shortened(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let skipped = Number.POSITIVE_INFINITY;
  for (const line of lines) {
    const depth = line.search(/\S/);
    if (depth > skipped) continue;
    skipped =
      /\bon (billable_impression|experiment_exposure)_[1-7]\b/.test(line) ||
      /using (billable_impression|experiment_exposure)_[1-7]_/.test(line)
        ? depth
        : Number.POSITIVE_INFINITY;
    if (skipped === Number.POSITIVE_INFINITY)
      kept.push(
        line.replaceAll("date_bin('01:00:00'::interval, event_ts, '1970-01-01 00:00:00+00'::timestamp with time zone)", 'HOUR(event_ts)'),
      );
  }
  return kept;
}

/**
 * `npm run scenarios:srm [-- --seed N]`: every way of srm.md §2 in which an experiment goes wrong, all at once through `run` on real
 * Kafka, Redis and Postgres, told to a real Alertmanager and a webhook receiver. Prints a table; exits with 1 unless at least
 * 8 of 9 verdicts are right and none is silent.
 */
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { partitionOf } from '../../../src/topology/sources/murmur2.ts';
import { findAlertmanager, startAlertmanager } from '../../services/alertmanager.ts';
import { startServices, type TestServices } from '../../services/index.ts';
import { Receiver } from '../../services/receiver.ts';
import { Bed } from '../bed.ts';
import type { PlacedRecord } from '../kafka.ts';
import { until } from '../until.ts';
import type { Worker } from '../worker.ts';
import { judge, type Logged, logged, SCENARIO_SPAN_MS, SCENARIOS, type Scenario, type Told, unitsAtAlarm } from './scenarios.ts';

const PARTITIONS = 2;
const CHUNKS = 240;
/** Least of nine. */
const RIGHT = 8;
const PACE = { commitMs: 500, registryMs: 500 };

const { values } = parseArgs({ options: { seed: { type: 'string', default: '7' } } });
const began = performance.now();
const say = (text: string): void => console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);
const utf8 = new TextEncoder();

function placed({ stream, unitId, event }: Logged, nowMs: number): PlacedRecord {
  const key = utf8.encode(unitId);
  return {
    topic: stream,
    partition: partitionOf(key, 0, key.length, PARTITIONS),
    key,
    value: utf8.encode(JSON.stringify(event)),
    timestampMs: nowMs,
  };
}

async function register(bed: Bed, startMs: number): Promise<void> {
  const client = new Client({ connectionString: bed.services.databaseUrl });
  await client.connect();
  const from = new Date(startMs - 86_400_000);
  for (const { id, title, hash, versions } of SCENARIOS) {
    await client.query("insert into exposure_stream.experiment (experiment_id, name, owner, hash) values ($1, $2, 'growth', $3)", [
      id,
      title,
      hash,
    ]);
    for (const [version, shares] of Object.entries(versions))
      for (const [position, [variant, share]] of Object.entries(shares).entries()) {
        await client.query('insert into exposure_stream.variant values ($1, $2, $3) on conflict do nothing', [id, variant, position]);
        await client.query(
          'insert into exposure_stream.allocation (experiment_id, version, variant_id, share, valid_from) values ($1, $2, $3, $4, $5)',
          [id, version, variant, share, from],
        );
      }
  }
  await client.end();
}

async function send(bed: Bed, startMs: number): Promise<number> {
  const producer = await bed.producer();
  let sent = 0;
  for (const records of logged(SCENARIOS, { seed: Number(values.seed), startMs, chunks: CHUNKS })) {
    const nowMs = Date.now();
    const all = records.map((record) => placed(record, nowMs));
    await producer.send(all.filter(({ topic }) => topic === 'assignments'));
    await producer.send(all.filter(({ topic }) => topic === 'exposures'));
    sent += all.length;
  }
  return sent;
}

const alertsOf = async (worker: Worker): Promise<(Told & { subject_id: string; alert_id: string })[]> =>
  JSON.parse((await worker.get('/api/v1/alerts')).body).open;

function report(told: Awaited<ReturnType<typeof alertsOf>>, atManager: ReadonlySet<string>, receiver: Receiver): boolean {
  const row = (...cells: string[]): void =>
    console.log(
      cells
        .map((cell, i) => cell.padEnd([50, 9, 12, 10, 10, 18, 16, 13][i]))
        .join(' ')
        .trimEnd(),
    );
  row('scenario', 'alerted', 'onset', 'stage', 'verdict', 'culprit', 'cause', 'delivered');
  let [right, silent] = [0, 0];
  for (const scenario of SCENARIOS) {
    const mine = told.filter(({ subject_id }) => subject_id === scenario.id);
    const judged = judge(scenario, mine);
    const alert = mine.find(({ kind }) => kind === scenario.verdict.kind);
    const isDelivered = alert !== undefined && atManager.has(alert.alert_id) && receiver.events(alert.alert_id).includes('raised');
    if (judged.isRight && isDelivered) right++;
    if (mine.length === 0) silent++;
    const count = (value: number | null): string => (value === null ? '—' : value.toLocaleString('en-US'));
    row(
      scenario.title,
      count(firstTold(receiver, alert?.alert_id) ?? judged.alertedAt),
      `${count(judged.onset)}`,
      judged.stage,
      judged.isRight ? 'right' : 'WRONG',
      judged.culprit ?? '—',
      judged.cause,
      isDelivered ? 'to both' : 'NO',
    );
    if (!judged.isRight && alert !== undefined) console.log(`  ${JSON.stringify(alert)}`);
  }
  console.log(`${right} of ${SCENARIOS.length} right, ${silent} silent`);
  return right >= RIGHT && silent === 0;
}

/** Units when the webhook first heard of it. */
function firstTold(receiver: Receiver, alertId: string | undefined): number | null {
  const first = receiver.received.find(({ body }) => body.alert['alert_id'] === alertId);
  return first === undefined ? null : unitsAtAlarm(first.body.alert['facts'] as Record<string, unknown>);
}

const isToldOf = (told: readonly { subject_id: string; kind: string }[], { id, verdict }: Scenario): boolean =>
  told.some(({ subject_id, kind }) => subject_id === id && kind === verdict.kind);

async function main(services: TestServices): Promise<boolean> {
  const command = findAlertmanager();
  if (command === null) throw new Error('no Alertmanager here');
  const receiver = new Receiver();
  const hook = await receiver.listen();
  const routes = (url: string) => [
    { name: 'am', type: 'alertmanager', url },
    { name: 'hook', type: 'webhook', url: `${hook}/alerts` },
  ];
  // Alertmanager belongs to the bed's keeper, and the bed's settings to its URL.
  const { Keeper } = await import('../../services/keeper.ts');
  const keeper = new Keeper();
  const manager = await startAlertmanager(keeper, command);
  const bed = await Bed.open(services, { partitions: PARTITIONS, settings: { pace: PACE, alerts: { routes: routes(manager.url) } } });
  try {
    const startMs = Date.now() - SCENARIO_SPAN_MS;
    await register(bed, startMs);
    const worker = bed.worker('run', { OUTPUT_UNIQUE: 'false', STATE_STORE: 'dir' }).start();
    await worker.ready();
    say('sending');
    const sent = await send(bed, startMs);
    say(`${sent.toLocaleString('en-US')} records sent`);
    await until(
      'everything is told',
      async () => {
        const told = await alertsOf(worker);
        return (
          SCENARIOS.every((scenario) => isToldOf(told, scenario)) &&
          /consumer_lag_records\{[^}]*\} [1-9]/.test((await worker.get('/metrics')).body) === false
        );
      },
      120_000,
    ).catch((error: unknown) => say(String(error)));
    const isDelivered = async (): Promise<boolean> => {
      const atManager = new Set((await manager.active()).map(({ labels }) => labels['alert_id']));
      return (await alertsOf(worker)).every(({ alert_id }) => atManager.has(alert_id) && receiver.events(alert_id).includes('raised'));
    };
    await until('it is delivered', isDelivered, 30_000).catch((error: unknown) => say(String(error)));
    const told = await alertsOf(worker);
    const atManager = new Set((await manager.active()).map(({ labels }) => labels['alert_id']));
    const spoken = JSON.parse(await bed.command(['srm', '--experiment', 'onset', '--json']));
    say(
      `srm --experiment onset: ${spoken.state}, stage ${spoken.stage}, onset ${spoken.onset_units}, before it ${spoken.keeps_before_onset ? 'can be kept' : 'cannot be kept'}`,
    );
    return report(told, atManager, receiver);
  } finally {
    await bed.close();
    await receiver.close();
    await keeper.close();
  }
}

const services = await startServices();
try {
  process.exitCode = (await main(services)) ? 0 : 1;
} finally {
  await services.stop();
}

import { Client } from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readAll } from '../e2e/side-outputs.ts';
import { until } from '../e2e/until.ts';
import { type Alertmanager, findAlertmanager, startAlertmanager } from '../services/alertmanager.ts';
import { describeIntegration } from '../services/integration.ts';
import { Keeper } from '../services/keeper.ts';
import { Receiver } from '../services/receiver.ts';
import { Story } from './story.ts';

const TOKEN = 'b4tt3ry-h0rs3';
const alertmanager = findAlertmanager();

interface Shown {
  source: string;
  open: { alert_id: string; kind: string; subject_id: string; summary: string; runbook: string }[];
}

describeIntegration('an alert, from what happened to who is told', (services) => {
  let keeper: Keeper;
  let receiver: Receiver;
  let story: Story;
  beforeEach(() => {
    keeper = new Keeper();
    receiver = new Receiver();
  });
  afterEach(async () => {
    await story.end();
    await receiver.close();
    await keeper.close();
  });

  it.skipIf(alertmanager === null)(
    'state lost behind a truncated log is told once, to all; it is one alert through kill -9 and restarts, and over when acknowledged',
    async () => {
      const real: Alertmanager = await startAlertmanager(keeper, alertmanager ?? '');
      const hook = await receiver.listen();
      const routes = [
        { name: 'am', type: 'alertmanager', url: real.url },
        { name: 'hook', type: 'webhook', urlFrom: 'ALERT_HOOK', secretFrom: 'ALERT_TOKEN', kinds: ['counts_uncertain'] },
        { name: 'nobody', type: 'webhook', url: `${hook}/never`, owners: ['somebody else'] },
      ];
      const pace = { commitMs: 200, totalsFlushMs: 500, rewriteMs: 1000, registryMs: 500 };
      story = await Story.begin(services, 61, { settings: { pace, alerts: { runbookUrl: 'https://wiki.example/runbook.md', routes } } });
      const environment = { STATE_STORE: 'dir', ALERT_HOOK: `${hook}/${TOKEN}/alerts`, ALERT_TOKEN: TOKEN };
      const worker = story.bed.worker('run', environment).start();
      const topic = story.bed.topic('impressions');
      await story.send(0, 0.6);
      await worker.ready();
      await story.allJudged(story.share(0.6), worker);
      expect(await worker.terminate()).toBe(0);
      await story.loseState('run');
      await truncateHalf(story, topic);
      await story.send(0.6, 1);

      worker.start(['--accept-state-loss']);
      await worker.ready();
      const alerts = async (): Promise<Shown> => JSON.parse((await worker.get('/api/v1/alerts')).body) as Shown;
      await until('it is open', async () => (await alerts()).open.length > 0);
      const { source, open } = await alerts();
      const [alert] = open;
      expect(source).toBe('postgres');
      expect(open).toHaveLength(1);
      expect(alert).toMatchObject({
        kind: 'counts_uncertain',
        subject_id: `${topic}/0`,
        runbook: 'https://wiki.example/runbook.md#counts_uncertain',
      });
      await until('Alertmanager has it', async () => (await real.active()).some(({ labels }) => labels['alert_id'] === alert.alert_id));
      await until('the webhook has it', () => receiver.events(alert.alert_id).includes('raised'));
      expect(receiver.received[0]).toMatchObject({ path: `/${TOKEN}/alerts`, headers: { authorization: `Bearer ${TOKEN}` } });
      await until('metrics say so', async () =>
        /exposure_stream_alerts_open\{kind="counts_uncertain",severity="ticket"\} 1\n/.test((await worker.get('/metrics')).body),
      );

      for (let i = 0; i < 2; i++) {
        await worker.kill();
        worker.start(['--accept-state-loss']);
        await worker.ready();
        await until('it is the same', async () => (await alerts()).open.map(({ alert_id }) => alert_id).join() === alert.alert_id);
      }
      const said = JSON.parse(await story.bed.command(['ack', alert.alert_id, '--note', 'Ada: retention was too short', '--json']));
      expect(said).toMatchObject({ alert_id: alert.alert_id, already: false });
      await until('the webhook hears of its end', () => receiver.events(alert.alert_id).includes('ended'));
      await until('it is over at Alertmanager', async () => (await real.active()).length === 0);
      await until('evaluate has said so on .alerts', async () => (await onTopic(story)).some(({ status }) => status === 'ended'));
      await worker.kill();
      worker.start(['--accept-state-loss']);
      await worker.ready();
      await until('it has settled', async () => /alert_oldest_undelivered_seconds 0\n/.test((await worker.get('/metrics')).body));

      expect((await alerts()).open).toEqual([]);
      expect(new Set((await onTopic(story)).map(({ alert_id }) => alert_id))).toEqual(new Set([alert.alert_id]));
      expect(await idsInPostgres(story)).toEqual([alert.alert_id]);
      expect(receiver.received.every(({ path }) => path !== '/never')).toBe(true);
      expect(receiver.events(alert.alert_id)).toEqual(['raised', 'ended']);
      expect(await worker.terminate()).toBe(0);
      expect(worker.allLogs).not.toContain(TOKEN);
    },
    240_000,
  );
});

/** Old records of partition 0 go, as retention would have it. */
async function truncateHalf(story: Story, topic: string): Promise<void> {
  await story.bed.withAdmin(async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic);
    const partitions = ends
      .filter(({ partition }) => partition === 0)
      .map(({ high }) => ({ partition: 0, offset: String(Math.floor(Number(high) / 2)) }));
    await admin.deleteTopicRecords({ topic, partitions });
  });
}

async function onTopic(story: Story): Promise<{ alert_id: string; status: string }[]> {
  const alerts: { alert_id: string; status: string }[] = [];
  await readAll(story.bed, [story.bed.output('alerts')], (_, { value }) => alerts.push(JSON.parse(String(value))));
  return alerts;
}

async function idsInPostgres(story: Story): Promise<string[]> {
  const client = new Client({ connectionString: story.bed.services.databaseUrl });
  await client.connect();
  try {
    return (await client.query<{ alert_id: string }>('select alert_id from exposure_stream.alert')).rows.map(({ alert_id }) => alert_id);
  } finally {
    await client.end();
  }
}

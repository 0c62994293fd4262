import { expect, test } from 'vitest';
import { METRICS, Metrics } from '../../src/metrics.ts';
import { collect } from '../../src/web/collect.ts';
import { statusOf } from '../../src/web/status.ts';
import { HOUR, SECOND, START, Story, type StoryProcess } from '../topology/drive.ts';

const PREFIX = 'exposure_stream_';

/** What contract.md names and this version exports, with the labels it names. */
const CONTRACT: Record<string, string[]> = {
  records_total: ['stream', 'partition', 'disposition'],
  watermark_lag_seconds: ['stream', 'partition'],
  consumer_lag_records: ['stream', 'partition'],
  end_to_end_seconds: [],
  commit_duration_seconds: [],
  state_keys: ['store'],
  state_bytes: ['store'],
  late_spend_micros_total: [],
  duplicate_spend_micros_total: [],
  invalid_traffic_spend_micros_total: [],
  suspected_duplicates_total: ['stream'],
  suspected_duplicate_spend_micros_total: [],
  registry_age_seconds: [],
  campaigns: ['state'],
  spend_at_risk_micros: [],
  build_info: [],
};

const scrape = async (metrics: Metrics, process: StoryProcess, wallMs: number): Promise<string[]> => {
  collect(metrics, process.pipeline, { ...process.now(), wallMs });
  return (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith(PREFIX));
};

test('every metric that the contract names today is declared with its labels', () => {
  for (const [name, labels] of Object.entries(CONTRACT)) {
    expect(Object.keys(METRICS)).toContain(name);
    expect(METRICS[name as keyof typeof METRICS].labels).toEqual(expect.arrayContaining(labels));
  }
});

test('every declared metric is exported under its name, type and meaning', async () => {
  const text = await new Metrics().registry.metrics();
  for (const [name, { type, says }] of Object.entries(METRICS)) {
    expect(text).toContain(`# HELP ${PREFIX}${name} ${says}\n# TYPE ${PREFIX}${name} ${type}\n`);
  }
});

test('counts come from committed state only, of what is owned here, and never go back', async () => {
  const story = new Story({ settings: { pace: { commitMs: 10 * SECOND } } });
  const process = await story.started();
  const metrics = new Metrics();
  story.impression({ at: HOUR, event_id: 'x', spend_micros: 5, user_id: 'u' });
  story.impression({ at: HOUR, event_id: 'x', spend_micros: 5 });
  story.impression({ at: 0, spend_micros: 7 });
  story.impression({ at: HOUR, spend_micros: 11, user_id: 'u', is_valid: false });
  story.raw('impressions', 'broken');
  await story.pass(2 * SECOND);
  const accepted = `${PREFIX}records_total{stream="impressions",partition="0",disposition="accepted"}`;
  expect(await scrape(metrics, process, START)).toContain(`${accepted} 0`);
  await story.pass(10 * SECOND);
  const lines = await scrape(metrics, process, START + 2 * HOUR);
  expect(lines).toEqual(
    expect.arrayContaining([
      `${accepted} 2`,
      `${PREFIX}records_total{stream="impressions",partition="0",disposition="duplicate"} 1`,
      `${PREFIX}records_total{stream="impressions",partition="0",disposition="late"} 1`,
      `${PREFIX}records_total{stream="impressions",partition="0",disposition="invalid"} 1`,
      `${PREFIX}records_total{stream="exposures",partition="0",disposition="accepted"} 0`,
      `${PREFIX}invalid_records_total{stream="impressions",reason="not_json"} 1`,
      `${PREFIX}late_spend_micros_total{partition="0"} 7`,
      `${PREFIX}duplicate_spend_micros_total{partition="0"} 5`,
      `${PREFIX}invalid_traffic_spend_micros_total{partition="0"} 11`,
      `${PREFIX}suspected_duplicates_total{stream="impressions",partition="0"} 1`,
      `${PREFIX}suspected_duplicate_spend_micros_total{partition="0"} 11`,
      `${PREFIX}watermark_lag_seconds{stream="impressions",partition="0"} 3630`,
      `${PREFIX}consumer_lag_records{stream="impressions",partition="0"} 0`,
      `${PREFIX}state_keys{store="dedup"} 3`,
      `${PREFIX}state_keys{store="evaluate_ids"} 1`,
      `${PREFIX}forgotten_cells_total 0`,
      `${PREFIX}tasks{stage="ingest",state="running"} 3`,
      `${PREFIX}tasks{stage="evaluate",state="running"} 1`,
    ]),
  );
  expect(await scrape(metrics, process, START + 2 * HOUR)).toEqual(lines);
  process.ingestSource.reassign([]);
  await story.pass(SECOND);
  expect((await scrape(metrics, process, START)).filter((line) => line.startsWith(`${PREFIX}records_total`))).toEqual([]);
});

test('the status says what it waits for, and who holds the watermark', async () => {
  const story = new Story({ partitions: 2 });
  const process = story.process();
  expect(statusOf(process.pipeline, START, ['Redis: away'])).toMatchObject({
    ready: false,
    waiting_for: ['Redis: away', 'joining the consumer groups'],
  });
  const release = process.hold(/^claim ingest:exposures\/1/);
  await process.start();
  await story.pass(SECOND);
  expect(statusOf(process.pipeline, START, [])).toMatchObject({ ready: false, waiting_for: ['ingest exposures/1: claiming'] });
  release();
  for (const partition of [0, 1]) story.impression({ at: partition * HOUR, partition });
  await story.pass(3 * SECOND);
  const status = statusOf(process.pipeline, START, []);
  expect([status.ready, status.waiting_for]).toEqual([true, []]);
  expect(status.watermarks).toContainEqual({ stream: 'impressions', watermark_ms: START - 30 * SECOND, held_by: 'impressions/0' });
  expect(status.ingest).toContainEqual(
    expect.objectContaining({
      topic: 'impressions',
      partition: 1,
      position: 1,
      committed: 1,
      lag_records: 0,
      dispositions: { accepted: 1, duplicate: 0, late: 0, invalid: 0 },
    }),
  );
  expect(JSON.parse(JSON.stringify(status))).toEqual(status);
});

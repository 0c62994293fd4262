import { expect, test } from 'vitest';
import type { AlertDraft } from '../../src/alerts/types.ts';
import { StreamError } from '../../src/errors.ts';
import type { MakePart } from '../../src/topology/evaluate-part.ts';
import { MINUTE, SECOND, START, Story, type StoryProcess } from '../topology/drive.ts';

const SUBJECT = { kind: 'experiment', id: 'e' } as const;
const KIND = 'counts_uncertain';

/** Raised at the first look that has units, with their number as its content; gone at the campaign `calm`. */
const manyUnits: MakePart = ({ state, alerts }) => ({
  looked: ({ atMs }) => {
    const counts = state.experiments.living.find(({ entity }) => entity.id === 'e');
    const units = [...(counts?.units.values() ?? [])].reduce((sum, one) => sum + one, 0);
    const calm = state.groups.some(({ entity }) => entity === 'calm');
    const texts = { summary: `${units} units`, description: '', nextStep: '', owner: '' };
    const draft: AlertDraft = { kind: KIND, subject: SUBJECT, phase: 'spring', severity: 'page', ...texts, facts: {} };
    if (units === 0) return;
    if (calm) alerts.clear(KIND, SUBJECT, atMs);
    else alerts.raise(draft, atMs);
  },
});

const onTopic = (story: Story): Record<string, unknown>[] =>
  story.broker
    .partition('exposure-stream.alerts', 0)
    .records()
    .map(({ key, value }) => {
      const said = JSON.parse(Buffer.from(value ?? '').toString());
      expect(Buffer.from(key ?? '').toString()).toBe(said.alert_id);
      return said;
    });
const summaries = (story: Story): unknown[] => onTopic(story).map(({ summary }) => summary);
const begin = (story: Story): Promise<StoryProcess> => story.started({ parts: [manyUnits] });

test('an alert is on its topic and in Postgres within seconds of its look, under the id that names it', async () => {
  const story = new Story();
  await begin(story);
  story.exposure({ at: 0, unit_id: 'u1' });
  await story.pass(4 * SECOND);
  const [row] = story.alerts.all();
  expect(row).toMatchObject({ kind: KIND, subject: SUBJECT, phase: 'spring', endedAtMs: null });
  expect(row.raisedAtMs).toBeGreaterThanOrEqual(START);
  expect(onTopic(story)).toMatchObject([
    { alert_id: row.id, status: 'open', severity: 'page', summary: '1 units', raised_ms: row.raisedAtMs },
  ]);
});

test('what changes of it goes out once a minute; its end at once', async () => {
  const story = new Story();
  const process = await begin(story);
  story.exposure({ at: 0, unit_id: 'u1' });
  await story.pass(4 * SECOND);
  for (let i = 0; i < 20; i++) {
    story.exposure({ at: i * SECOND, unit_id: `more ${i}` });
    await story.pass(SECOND);
  }
  expect(summaries(story)).toEqual(['1 units']);
  await story.pass(MINUTE);
  expect(summaries(story)).toEqual(['1 units', '21 units']);
  const [{ id }] = story.alerts.all();
  story.alerts.acknowledge(id, story.clock.now().wallMs);
  await story.pass(4 * SECOND);
  expect(onTopic(story).at(-1)).toMatchObject({ alert_id: id, status: 'ended', ended_by: 'acknowledged' });
  expect([...process.evaluate().stage!.state.alerts.durable()]).toEqual([]);
});

test('while Postgres is away the topic has it already, once; Postgres gets it when it is back', async () => {
  const story = new Story();
  const process = await begin(story);
  process.fault(/^alerts.before/, new StreamError('postgres_unreachable', 'away'), 10);
  story.exposure({ at: 0, unit_id: 'u1' });
  await story.pass(8 * SECOND);
  expect([story.alerts.all().length, summaries(story)]).toEqual([0, ['1 units']]);
  await story.pass(10 * SECOND);
  expect([story.alerts.all().length, summaries(story)]).toEqual([1, ['1 units']]);
  expect(process.failures).toEqual([]);
});

test('what a crash had not committed is raised again under the same id; what it had is sent again', async () => {
  const story = new Story();
  const first = await begin(story);
  story.exposure({ at: 0, unit_id: 'u1' });
  await story.pass(4 * SECOND);
  first.kill();
  await begin(story);
  await story.pass(4 * SECOND);
  expect(new Set(onTopic(story).map(({ alert_id }) => alert_id)).size).toBe(1);
  expect(onTopic(story)).toHaveLength(2);
  expect(story.alerts.all()).toHaveLength(1);
});

test('an alert that a commit never had is told to nobody', async () => {
  const story = new Story();
  const process = await begin(story);
  process.fault(/^append evaluate/, new Error('the log takes nothing'), 1000);
  story.exposure({ at: 0, unit_id: 'u1' });
  await story.pass(6 * SECOND);
  expect([onTopic(story), story.alerts.all()]).toEqual([[], []]);
});

test('acknowledged it is quiet through restarts, until it has been away', async () => {
  const story = new Story();
  const first = await begin(story);
  story.exposure({ at: 0, unit_id: 'u1' });
  await story.pass(4 * SECOND);
  const [{ id }] = story.alerts.all();
  story.alerts.acknowledge(id, story.clock.now().wallMs);
  await story.pass(4 * SECOND);
  first.kill();
  const second = await begin(story);
  story.exposure({ at: SECOND, unit_id: 'u2' });
  await story.pass(4 * SECOND);
  expect(story.alerts.all().map((row) => row.id)).toEqual([id]);
  expect(second.evaluate().stage?.state.alerts.latchOf(KIND, SUBJECT)).toBe('quiet');
  story.impression({ at: SECOND, campaign_id: 'calm' });
  await story.pass(4 * SECOND);
  expect(second.evaluate().stage?.state.alerts.latchOf(KIND, SUBJECT)).toBe('armed');
});

test('a process that ends well leaves nothing unsaid: what its last commit has is out', async () => {
  const story = new Story({ settings: { pace: { commitMs: 60_000 } } });
  const process = await begin(story);
  story.exposure({ at: 0, unit_id: 'u1' });
  await story.pass(2 * SECOND);
  expect(story.alerts.all()).toEqual([]);
  const stopped = process.stop();
  await story.pass(5 * SECOND);
  await stopped;
  expect(story.alerts.all()).toHaveLength(1);
  expect(summaries(story)).toEqual(['1 units']);
});

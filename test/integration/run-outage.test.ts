import { afterEach, expect, it } from 'vitest';
import { wrongHours } from '../e2e/hours.ts';
import { until } from '../e2e/until.ts';
import { describeIntegration } from '../services/integration.ts';
import { Gate } from './gate.ts';
import { logLines, Story } from './story.ts';

const SECRET = 'correct-horse-battery';

describeIntegration('run, while a service is away', (services) => {
  let story: Story;
  let gate: Gate;
  afterEach(async () => {
    await story.end();
    await gate.close().catch(() => undefined);
  });

  it('without Redis stands still and says so, lives on, and catches up by itself', async () => {
    gate = await Gate.to(services.redisUrl);
    story = await Story.begin(services, 31);
    const partials = story.bed.output('partials');
    const worker = story.bed.worker('run', { REDIS_URL: gate.url }).start();
    await story.send(0, 0.5);
    await worker.ready();
    await story.allJudged(story.share(0.5), worker);

    await gate.close();
    await story.send(0.5, 1);
    await until('/readyz says Redis', async () => {
      const { status, body } = await worker.get('/readyz');
      return status === 503 && body.includes('Redis');
    });
    await story.allJudged(story.expected.total, worker);
    // What changes nothing in Redis may still be committed; then marks of ingest, which goes on, tell that time has passed.
    await story.grown(partials, 4);
    const standing = await story.committed('evaluate', partials);
    await story.grown(partials, 4);
    expect(await story.committed('evaluate', partials)).toBe(standing);
    expect((await worker.get('/healthz')).status).toBe(200);
    expect((await worker.get('/readyz')).status).toBe(503);

    await gate.open();
    await worker.ready();
    await story.counted(worker);
    await until('offsets move again', async () => (await story.committed('evaluate', partials)) > standing);
    expect([...story.looks.faults]).toEqual([]);
    expect(await worker.terminate()).toBe(0);
  });

  it('without Postgres counts and commits on; the hourly totals come when it is back; nothing secret is logged', async () => {
    gate = await Gate.to(services.databaseUrl);
    story = await Story.begin(services, 32);
    const partials = story.bed.output('partials');
    const url = new URL(story.bed.services.databaseUrl);
    url.host = new URL(gate.url).host;
    url.password = SECRET;
    const worker = story.bed.worker('run', { DATABASE_URL: url.href }).start();
    await worker.ready();
    await gate.close();
    const before = await story.committed('evaluate', partials);
    await story.send(0, 1);
    await story.counted(worker);
    await until('offsets move', async () => (await story.committed('evaluate', partials)) > before);
    await until('it is logged', () => worker.log.includes('postgres_unreachable'));
    expect(await wrongHours(story.bed.services.databaseUrl, story.expected.hours)).not.toEqual([]);
    expect((await worker.get('/healthz')).status).toBe(200);

    await gate.open();
    await until('the totals are there', async () => {
      return (await wrongHours(story.bed.services.databaseUrl, story.expected.hours)).length === 0;
    });
    expect(await worker.terminate()).toBe(0);
    const lines = logLines(worker.log);
    expect(lines.every(({ level, time, msg }) => level > 0 && !Number.isNaN(Date.parse(time)) && msg !== '')).toBe(true);
    expect(worker.log).not.toContain(SECRET);
  });
});

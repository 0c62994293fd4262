import { Redis } from 'ioredis';
import { afterEach, expect, it } from 'vitest';
import { readAll } from '../e2e/side-outputs.ts';
import { until } from '../e2e/until.ts';
import { describeIntegration } from '../services/integration.ts';
import { lastError, logLines, Story } from './story.ts';

const NOBODY = '127.0.0.1:1';

/** State that can be taken away by deleting a folder. */
const IN_FOLDER = { STATE_STORE: 'dir' };

describeIntegration('run, started again', (services) => {
  let story: Story;
  afterEach(() => story.end());

  it('stops by name when a topic has another number of partitions than before', async () => {
    story = await Story.begin(services, 21);
    const worker = story.bed.worker('run', IN_FOLDER).start();
    await story.send(0, 0.3);
    await worker.ready();
    await story.allJudged(story.share(0.3), worker);
    expect(await worker.terminate()).toBe(0);
    const topic = story.bed.topic('exposures');
    await story.bed.withAdmin((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }));
    expect(await worker.start().exit()).toBe(1);
    expect(lastError(worker)).toMatchObject({ code: 'partition_count_changed', msg: expect.stringContaining(topic) });
  });

  it('says at its start which output is missing, not at the first record for it', async () => {
    story = await Story.begin(services, 28);
    const late = `${story.bed.name}.out.late`;
    await story.bed.withAdmin((admin) => admin.deleteTopics({ topics: [late] }));
    const worker = story.bed.worker('run', IN_FOLDER).start();
    expect(await worker.exit()).toBe(1);
    expect(lastError(worker)).toMatchObject({ code: 'topic_missing', msg: expect.stringContaining(`no topic ${late}:`) });
  });

  it('stops by name when a topic gains partitions while it runs', async () => {
    story = await Story.begin(services, 27);
    const worker = story.bed.worker('run', IN_FOLDER).start();
    await worker.ready();
    const topic = story.bed.topic('assignments');
    await story.bed.withAdmin((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }));
    expect(await worker.exit()).toBe(1);
    expect(lastError(worker)).toMatchObject({ code: 'partition_count_changed', msg: expect.stringContaining(topic) });
  });

  it('recomputes lost state from a complete log, exactly, and no counter is ever lower meanwhile', async () => {
    story = await Story.begin(services, 22);
    const worker = story.bed.worker('run', IN_FOLDER).start();
    await story.send(0, 0.7);
    await worker.ready();
    await story.allJudged(story.share(0.7), worker);
    expect(await worker.terminate()).toBe(0);
    expect(logLines(worker.log).at(-1)?.msg).toBe('stopped, everything committed');
    await story.looks.look();
    await story.loseState('run');
    worker.start();
    await story.send(0.7, 1);
    await story.counted(worker);
    expect([...story.looks.faults]).toEqual([]);
    expect(logLines(worker.log).find(({ msg }) => msg === 'state restored')).toMatchObject({ position: 0 });
    expect(await worker.terminate()).toBe(0);
  });

  it('stops when state and the head of the log are lost; told to accept that it goes on, and nothing goes down', async () => {
    story = await Story.begin(services, 23);
    const worker = story.bed.worker('run', IN_FOLDER).start();
    await story.send(0, 0.7);
    await worker.ready();
    await story.allJudged(story.share(0.7), worker);
    expect(await worker.terminate()).toBe(0);
    await until('everything sent is in Redis', async () => (await story.looks.look()).size > 0);
    const topic = story.bed.topic('impressions');
    await story.bed.withAdmin(async (admin) => {
      const offsets = await admin.fetchTopicOffsets(topic);
      const half = offsets.map(({ partition, high }) => ({ partition, offset: String(Math.floor(Number(high) / 2)) }));
      await admin.deleteTopicRecords({ topic, partitions: half });
    });
    await story.loseState('run');

    worker.start();
    await until('the tasks without a state are stopped by name', () => lastError(worker)?.code === 'state_lost');
    expect(lastError(worker)?.msg).toContain(topic);
    await until('/readyz says which', async () => {
      const { status, body } = await worker.get('/readyz');
      return status === 503 && body.includes(`${topic}/0`) && body.includes('--accept-state-loss');
    });
    expect(await worker.terminate()).toBe(0);

    worker.start(['--accept-state-loss']);
    await worker.ready();
    const before = await story.looks.look();
    await story.send(0.7, 1);
    await until('the rest is counted', async () => sum(await story.looks.look()) > sum(before));
    await until('the log is read to its end', async () => (await worker.get('/metrics')).body.includes('sources_with_lost_state 2'));
    expect([...story.looks.faults].filter((fault) => fault.startsWith('went back'))).toEqual([]);
    expect(await worker.terminate()).toBe(0);
  });

  it('stops by name when Redis holds a version beyond the end of .partials', async () => {
    story = await Story.begin(services, 24);
    const worker = story.bed.worker('run', IN_FOLDER).start();
    await story.send(0, 1);
    await worker.ready();
    await story.counted(worker);
    expect(await worker.terminate()).toBe(0);
    const redis = new Redis(services.redisUrl);
    const [key] = await redis.keys(`${story.bed.keyPrefix}spend:*`);
    await redis.hset(key, 'version', '1000000000');
    redis.disconnect();
    worker.start();
    await until('its task is stopped by name', () => lastError(worker)?.code === 'redis_ahead');
    expect(lastError(worker)?.msg).toContain('1000000000');
    await until('/readyz says so', async () => (await worker.get('/readyz')).body.includes('1000000000'));
    expect(await worker.terminate()).toBe(0);
  });

  it('goes on at the last commit where two processes share one folder and one is killed', async () => {
    story = await Story.begin(services, 25);
    const shared = { ...IN_FOLDER, STATE_DIR: story.bed.stateDir('shared') };
    const [first, second] = [story.bed.worker('first', shared).start(), story.bed.worker('second', shared)];
    await story.send(0, 0.5);
    await first.ready();
    await story.allJudged(story.share(0.5), first);
    second.start();
    await second.ready();
    await first.kill();
    await story.send(0.5, 1);
    await story.counted(second);
    expect([...story.looks.faults]).toEqual([]);
    const restored = logLines(second.log).filter(({ msg, stage, topic }) => {
      return msg === 'state restored' && stage === 'ingest' && topic === story.bed.topic('impressions');
    });
    expect(restored.map(({ position }) => position! > 0)).toEqual(restored.map(() => true));
    expect(restored.length).toBeGreaterThanOrEqual(2);
    expect(await second.terminate()).toBe(0);
    let copies = 0;
    await readAll(story.bed, [story.bed.output('unique')], () => copies++);
    const accepted = [...story.expected.records].reduce((all, [name, count]) => all + (name.endsWith('/accepted') ? count : 0), 0);
    expect(copies).toBe(accepted);
  });

  it('counts the same with a stage in a process each, of which ingest needs nothing but Kafka', async () => {
    story = await Story.begin(services, 26);
    const alone = { REDIS_URL: `redis://${NOBODY}/0`, DATABASE_URL: `postgres://${NOBODY}/none` };
    const ingest = story.bed.worker('ingest', alone, ['--stage', 'ingest']).start();
    const evaluate = story.bed.worker('evaluate', {}, ['--stage', 'evaluate']).start();
    await story.send(0, 0.6);
    await Promise.all([ingest.ready(), evaluate.ready()]);
    expect(await evaluate.terminate()).toBe(0);
    await story.send(0.6, 1);
    await story.allJudged(story.expected.total, ingest);
    evaluate.start();
    await story.counted(ingest, evaluate);
    expect([...story.looks.faults]).toEqual([]);
    expect(await Promise.all([ingest.terminate(), evaluate.terminate()])).toEqual([0, 0]);
  });
});

const sum = (amounts: Map<string, number>): number => [...amounts.values()].reduce((total, amount) => total + amount, 0);

import { beforeAll, expect, it } from 'vitest';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { createTopics, describeTopics } from '../../src/topology/sources/kafka-topics.ts';
import { describeIntegration } from '../services/integration.ts';
import { CommandBed } from './command-bed.ts';

const OUTPUTS = ['partials', 'state', 'unique', 'duplicates', 'late', 'invalid', 'violations', 'alerts'];
const DAY_MS = 86_400_000;

describeIntegration('migrate', (services) => {
  let bed: CommandBed;
  beforeAll(async () => {
    bed = await CommandBed.open(services);
  });
  const described = () => describeTopics(bed.kafka, [...bed.inputs, ...OUTPUTS.map((name) => bed.prefix + name)]);

  it('leaves inputs that are there as they are, creates all outputs and the schema, and does nothing the second time', async () => {
    await createTopics(
      bed.kafka,
      bed.inputs.map((name) => ({ name, partitions: 3, settings: { 'retention.ms': '-1' } })),
    );
    const before = await describeTopics(bed.kafka, bed.inputs);
    const first = await bed.run(['migrate', '--topics', '--partitions', '5', '--json']);
    expect(first.code).toBe(0);
    const { postgres, topics } = JSON.parse(first.out);
    expect(postgres.applied.length).toBeGreaterThan(0);
    expect(topics.created).toEqual(OUTPUTS.map((name) => bed.prefix + name));
    expect(topics.warnings.map(({ topic }: { topic: string }) => topic).sort()).toEqual([...bed.inputs].sort());

    const found = await described();
    for (const name of bed.inputs) expect(found.get(name)).toEqual(before.get(name));
    expect(found.get(`${bed.prefix}partials`)).toMatchObject({
      partitions: 5,
      timestampType: 'LogAppendTime',
      cleanupPolicy: 'delete',
      retentionMs: -1,
    });
    expect(found.get(`${bed.prefix}state`)).toMatchObject({ cleanupPolicy: 'compact' });

    const second = await bed.run(['migrate', '--topics', '--partitions', '7', '--json']);
    expect(second.code).toBe(0);
    expect(JSON.parse(second.out)).toMatchObject({ postgres: { applied: [] }, topics: { created: [] } });
    expect(await described()).toEqual(found);
  });

  it('creates inputs stamped by the broker, and partials that outlive them; says so in lines', async () => {
    const other = await CommandBed.open(services);
    const { code, out } = await other.run(['migrate', '--topics', '--partitions', '2']);
    expect(code).toBe(0);
    expect(out).toContain(`ok      Kafka: ${other.topics.impressions} created with 2 partitions\n`);
    expect(out).not.toContain('warning');
    const found = await describeTopics(other.kafka, [...other.inputs, `${other.prefix}partials`]);
    for (const name of other.inputs) expect(found.get(name)).toMatchObject({ partitions: 2, timestampType: 'LogAppendTime' });
    expect(found.get(`${other.prefix}partials`)?.retentionMs).toBe(14 * DAY_MS);
  });

  it('raises the epoch only when confirmed', async () => {
    const pool = openPool(bed.environment['DATABASE_URL'] ?? '', 1);
    const epoch = async () => (await pool.query<{ epoch: number }>('select epoch::float8 from exposure_stream.stream_epoch')).rows[0].epoch;
    const before = await epoch();
    expect((await bed.run(['migrate', '--new-epoch'])).code).toBe(2);
    expect(await epoch()).toBe(before);
    expect((await bed.run(['migrate', '--new-epoch', '--confirm'])).code).toBe(0);
    expect(await epoch()).toBe(before + 1);
    await pool.end();
  });

  it('names what does not answer, and ends with 1', async () => {
    const nowhere = await bed.run(['migrate'], { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/x' });
    expect(nowhere).toMatchObject({ code: 1, err: expect.stringContaining('127.0.0.1:1') });
    expect(nowhere.err).not.toContain('hunter2');
    expect(await bed.run(['migrate', '--topics'], { KAFKA_BROKERS: '127.0.0.1:1' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('Kafka'),
    });
  });
});

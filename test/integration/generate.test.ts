import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { tailOf } from '../../src/commands/kafka-tail.ts';
import { generateTraffic, type Truth } from '../../src/generate/index.ts';
import { createTopics } from '../../src/topology/sources/kafka-topics.ts';
import { describeIntegration } from '../services/integration.ts';
import { CommandBed } from './command-bed.ts';

const SMALL = ['--impressions', '3000', '--exposures', '900', '--assignments', '300'];

describeIntegration('generate', (services) => {
  let bed: CommandBed;
  beforeAll(async () => {
    bed = await CommandBed.open(services);
  });
  const create = (other: CommandBed, partitions: number[], type = 'CreateTime') =>
    createTopics(
      other.kafka,
      other.inputs.map((name, i) => ({ name, partitions: partitions[i], settings: { 'message.timestamp.type': type } })),
    );

  it('puts every record where and when the truth has it, each once', async () => {
    await create(bed, [4, 4, 4]);
    const truthPath = join(bed.folder, 'truth.json');
    const { code, out } = await bed.run(['generate', '--kafka', '--seed', '5', ...SMALL, '--truth', truthPath, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ records: 4200, truth: truthPath });
    const truth = JSON.parse(readFileSync(truthPath, 'utf8')) as Truth;
    expect(truth.settings).toMatchObject({ seed: 5, partitions: 4 });

    const meant: Record<string, (string | null)[][]> = { exposures: [], assignments: [], impressions: [] };
    for (const { topic, partition, value } of generateTraffic(truth.settings)) {
      meant[topic][partition] ??= [];
      meant[topic][partition].push(value === null ? null : Buffer.from(value).toString('base64'));
    }
    for (const [stream, topic] of Object.entries(bed.topics)) {
      const records = (await tailOf(bed.kafka, topic, 1_000_000)).sort((a, b) => a.partition - b.partition || a.offset - b.offset);
      const found = Array.from({ length: 4 }, (_, partition) =>
        records.filter((record) => record.partition === partition).map(({ value }) => value && Buffer.from(value).toString('base64')),
      );
      // A tail is cut at 256 KiB a partition; counts of all are compared by offsets.
      const ends = await endsOf(bed, topic);
      found.forEach((values, partition) => {
        expect(values).toEqual((meant[stream][partition] ?? []).slice(0, values.length));
        expect(ends[partition]).toBe(meant[stream][partition]?.length ?? 0);
      });
    }
  });

  it('refuses topics that differ, or another count than theirs', async () => {
    expect((await bed.run(['generate', '--kafka', '--partitions', '8'])).code).toBe(2);
    const uneven = await CommandBed.open(services);
    const missing = await uneven.run(['generate', '--kafka']);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('migrate --topics') });
    await create(uneven, [2, 2, 3]);
    const refused = await uneven.run(['generate', '--kafka']);
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining(`${uneven.topics.impressions} 3`) });
  });

  it('leaves out clocks that are ahead where the broker stamps records, and keeps to a rate', async () => {
    const stamped = await CommandBed.open(services);
    await create(stamped, [1, 1, 1], 'LogAppendTime');
    const truthPath = join(stamped.folder, 'truth.json');
    const few = ['--impressions', '100', '--exposures', '50', '--assignments', '50', '--rate', '200'];
    const { code, err, seconds } = await stamped.run(['generate', '--kafka', ...few, '--truth', truthPath]);
    expect(code).toBe(0);
    expect(err).toContain('LogAppendTime');
    expect((JSON.parse(readFileSync(truthPath, 'utf8')) as Truth).settings.skewShare).toBe(0);
    expect(seconds).toBeGreaterThan(0.9);
    expect((await stamped.run(['generate', '--kafka', '--skew-share', '0.01'])).code).toBe(2);
  });
});

async function endsOf(bed: CommandBed, topic: string): Promise<number[]> {
  const admin = bed.kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high));
}

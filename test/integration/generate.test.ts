import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { beforeAll, expect, it } from 'vitest';
import { generateCommand } from '../../src/commands/generate.ts';
import { addGenerateOptions } from '../../src/commands/generate-options.ts';
import type { Host } from '../../src/commands/host.ts';
import { tailOf } from '../../src/commands/kafka-tail.ts';
import { generateTraffic, type Truth } from '../../src/generate/index.ts';
import { createTopics } from '../../src/topology/sources/kafka-topics.ts';
import type { Clock } from '../../src/topology/types.ts';
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

  it('sends other events after a restart of live traffic, and the same ones only where the seed was given', async () => {
    const live = await CommandBed.open(services);
    await create(live, [1, 1, 1]);
    const startMs = Date.UTC(2026, 9, 5);
    const idsOf = async (fromMs: number, seed: string[] = []): Promise<string[]> => {
      const before = (await tailOf(live.kafka, live.topics.exposures, 1_000_000)).length;
      expect(await runLive(live, fromMs, ['--rate', '100', ...seed])).toBe(0);
      const latest = (await tailOf(live.kafka, live.topics.exposures, 1_000_000)).filter(({ offset }) => offset >= before);
      expect(latest.length).toBeGreaterThan(20);
      return latest.flatMap(({ value }) => /"event_id":"([^"]+)"/.exec(Buffer.from(value ?? []).toString())?.[1] ?? []);
    };
    const first = await idsOf(startMs);
    const second = await idsOf(startMs + 10_000);
    expect(second.filter((id) => first.includes(id))).toEqual([]);
    const given = await idsOf(startMs + 20_000, ['--seed', '7']);
    const again = await idsOf(startMs + 30_000, ['--seed', '7']);
    expect(again.filter((id) => given.includes(id)).length).toBeGreaterThan(10);
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

/** Five seconds of `generate --forever`, on a clock that goes as fast as it is waited for. */
async function runLive(bed: CommandBed, startMs: number, args: string[]): Promise<number> {
  const stop = new AbortController();
  let wallMs = startMs;
  const clock: Clock = {
    now: () => ({ wallMs, monotonicMs: wallMs }),
    sleep: async (ms) => {
      wallMs += ms;
      if (wallMs >= startMs + 5000) stop.abort();
    },
  };
  const quiet = { write: () => true };
  const host: Host = { environment: bed.environment, clock, out: quiet, err: quiet, stopping: stop.signal };
  const command = addGenerateOptions(new Command()).parse(['--kafka', '--forever', ...args], { from: 'user' });
  return await generateCommand(host, command.opts());
}

async function endsOf(bed: CommandBed, topic: string): Promise<number[]> {
  const admin = bed.kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high));
}

import { createHash } from 'node:crypto';
import type { KafkaMessage } from 'kafkajs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Stream } from '../../src/topology/types.ts';
import { Bed } from '../e2e/bed.ts';
import { CODECS, type Codec } from '../e2e/kafka.ts';
import { Looks } from '../e2e/looks.ts';
import { readAll } from '../e2e/side-outputs.ts';
import { differences, judge } from '../e2e/truth.ts';
import { until } from '../e2e/until.ts';
import { recordsTotal, type Worker } from '../e2e/worker.ts';
import { describeIntegration } from '../services/integration.ts';
import { type Case, casesFor } from './malformed-cases.ts';

const CUT_TO_BYTES = 64 * 1024;
const CUT_BEYOND_BYTES = 1_000_000;

/** What a copy on a side output must be; text so that a difference can be read. */
interface Copy {
  where: string;
  output: string;
  reason: string | undefined;
  truncated: string | undefined;
  key: string | null;
  value: string;
}

const digest = (bytes: Uint8Array | null): string =>
  bytes === null ? 'null' : `${bytes.length} bytes ${createHash('sha1').update(bytes).digest('hex')}`;

describeIntegration('one process and records of every kind', (services) => {
  const placed: { codec: Codec; offset: number; record: Case }[] = [];
  let bed: Bed;
  let worker: Worker;

  beforeAll(async () => {
    bed = await Bed.open(services, { partitions: 1 });
    const producer = await bed.producer();
    const offsets: Record<Stream, number> = { exposures: 0, assignments: 0, impressions: 0 };
    for (const codec of Object.keys(CODECS) as Codec[]) {
      const cases = casesFor(codec);
      // Large ones alone: what is too large for a request is the producer's affair.
      for (const large of [false, true]) {
        const sent = cases.filter(({ value }) => (value?.length ?? 0) > 100_000 === large);
        for (const some of large ? sent.map((one) => [one]) : [sent]) await producer.send(some, codec);
        for (const record of sent) placed.push({ codec, offset: offsets[record.topic]++, record });
      }
    }
    worker = bed.worker('run').start();
    await worker.ready();
    const count = () => recordsTotal([worker]).then((total) => [...total.values()].reduce((sum, records) => sum + records, 0));
    await until('all are judged', async () => (await count()) === placed.length);
  });
  afterAll(() => bed.close());

  it('lie each in its place with its reason, bytes unchanged, cut where they are too long', async () => {
    const wanted = placed.flatMap(({ codec, offset, record }) => copyOf(record, `${codec} ${record.topic}/${offset} ${record.name}`));
    const names = new Map(
      placed.map(({ codec, offset, record }) => [`${record.topic}/${offset}`, `${codec} ${record.topic}/${offset} ${record.name}`]),
    );
    const seen: Copy[] = [];
    const outputs = ['unique', 'duplicates', 'late', 'invalid', 'violations'];
    await readAll(
      bed,
      outputs.map((name) => bed.output(name)),
      (topic, message) => {
        seen.push(seenCopy(bed, names, outputs.find((name) => bed.output(name) === topic)!, message));
      },
    );
    expect(sorted(seen)).toEqual(sorted(wanted));
  });

  it('add up, in the metrics, in Redis and by an oracle that reads the contract on its own', async () => {
    const truth = judge(placed.map(({ record }) => record));
    expect(differences('records_total', await recordsTotal([worker]), truth.records)).toEqual([]);
    const verdicts = new Map([...truth.oracle.partitions].map(([name, { verdicts }]) => [name, verdicts]));
    for (const { offset, record } of placed) {
      const { disposition } = verdicts.get(`${record.topic}/0`)![offset];
      expect(`${record.name}: ${disposition}`).toBe(`${record.name}: ${record.invalid === undefined ? 'accepted' : 'invalid'}`);
    }
    const looks = new Looks(services.redisUrl, bed.keyPrefix, truth.amounts);
    const wrong = await looks.wrong();
    looks.close();
    expect([...wrong, ...looks.faults]).toEqual([]);
  });

  it('crash nothing: it goes on, and ends in peace', async () => {
    expect((await worker.get('/readyz')).status).toBe(200);
    expect(worker.unexpected).toEqual([]);
    expect(await worker.terminate()).toBe(0);
  });
});

const sorted = (copies: Copy[]): Copy[] => copies.sort((a, b) => (a.where < b.where ? -1 : 1));

function copyOf(record: Case, where: string): Copy {
  const { key, value, invalid } = record;
  const isCut = value !== null && value.length > CUT_BEYOND_BYTES;
  return {
    where,
    output: invalid === undefined ? 'unique' : 'invalid',
    reason: invalid,
    truncated: isCut ? String(value.length) : undefined,
    key: key === null ? null : Buffer.from(key).toString('hex'),
    value: digest(isCut ? value.subarray(0, CUT_TO_BYTES) : value),
  };
}

function seenCopy(bed: Bed, names: ReadonlyMap<string, string>, output: string, { key, value, headers = {} }: KafkaMessage): Copy {
  const header = (name: string): string | undefined => headers[name]?.toString();
  const place = `${bed.streamOf(header('source_topic') ?? '')}/${header('source_offset')}`;
  return {
    where: names.get(place) ?? place,
    output,
    reason: header('reason'),
    truncated: header('truncated'),
    key: key?.toString('hex') ?? null,
    value: digest(value),
  };
}

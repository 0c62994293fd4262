import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SystemClock } from '../../../src/topology/clock.ts';
import { FileSource, type FileSourceOptions } from '../../../src/topology/sources/file-source.ts';
import { partitionOf } from '../../../src/topology/sources/murmur2.ts';
import { AssignmentRecorder, type GivenRecord, recordsOf, type SeenRecord, sourceConformance } from '../../conformance/source.ts';

const clock = new SystemClock();
let folder = '';
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'file-source-'));
});
afterAll(() => rm(folder, { recursive: true }));

const fileOf = async (text: string | Buffer): Promise<string> => {
  const path = join(folder, `${files++}.ndjson`);
  await writeFile(path, text);
  return path;
};

const sourceOf = async (text: string | Buffer, options: Partial<FileSourceOptions> = {}): Promise<FileSource> =>
  new FileSource(await fileOf(text), { topics: ['impressions', 'exposures'], partitions: 4, clock, ...options });

/** Everything in the file by `topic/partition`, every partition polled in turn. */
const readAll = async (source: FileSource): Promise<Record<string, SeenRecord[]>> => {
  const recorder = new AssignmentRecorder();
  await source.start(recorder);
  const all: Record<string, SeenRecord[]> = {};
  for (const feed of recorder.feeds) feed.seek(0);
  for (const done = new Set<object>(); done.size < recorder.feeds.length; ) {
    for (const feed of recorder.feeds) {
      const batch = await feed.poll(0);
      if (batch) {
        const name = `${feed.topic}/${feed.partition}`;
        all[name] = [...(all[name] ?? []), ...recordsOf(batch)];
      } else if (source.exhausted) {
        done.add(feed);
      }
    }
  }
  await source.stop();
  return all;
};

const onlyRecord = async (line: string): Promise<SeenRecord> => {
  const all = Object.values(await readAll(await sourceOf(`${line}\n`))).flat();
  expect(all.length).toBe(1);
  return all[0];
};

describe('a file as a source', () => {
  sourceConformance(() => {
    const lines: string[] = [];
    let path = '';
    return Promise.resolve({
      topic: 'events',
      live: false,
      append: async (partition, records) => {
        for (const { key, value, timestampMs } of records) {
          const value_base64 = value === null ? null : Buffer.from(value).toString('base64');
          lines.push(JSON.stringify({ topic: 'events', partition, timestamp: timestampMs, key, value_base64 }));
        }
        path = await fileOf(lines.join('\n'));
      },
      open: () => new FileSource(path, { topics: ['events'], partitions: 2, clock }),
      close: () => Promise.resolve(),
    });
  });
});

test('the value is what stands in the line, byte for byte', async () => {
  const value = '{ "a":1.50e3 , "b" : "é\\u0041}\\"", "a": [ {}, "]" ] }';
  const record = await onlyRecord(`  { "value" :${value}\t, "topic":"impressions" , "key":"k", "note":[1,{"value":2}] } \r`);
  expect(record).toEqual({ offset: 0, key: 'k', value, timestampMs: Number.NaN });
});

test('a value that is broken inside, a string, base64 and null', async () => {
  expect((await onlyRecord('{"topic":"impressions","key":"k","value":{broken: yes}}')).value).toBe('{broken: yes}');
  expect((await onlyRecord('{"topic":"impressions","key":"k","value":-1.5}')).value).toBe('-1.5');
  expect((await onlyRecord('{"topic":"impressions","key":"k","value":"not\\n json"}')).value).toBe('not\n json');
  expect((await onlyRecord('{"topic":"impressions","key":"k","value_base64":"/wA="}')).value).toBe(Buffer.from([255, 0]).toString());
  expect((await onlyRecord('{"topic":"impressions","key":"k","value":null}')).value).toBeNull();
});

test('a key with escapes is the text it stands for, also when its partition is found', async () => {
  const record = await onlyRecord('{"topic":"impressions","key":"\\u00e9\\"\\ud83d\\ude00","value":{}}');
  expect(record.key).toBe('é"😀');
  const all = await readAll(await sourceOf('{"topic":"impressions","key":"\\u00e9x","value":{}}'));
  const key = Buffer.from('éx');
  expect(Object.keys(all)).toEqual([`impressions/${partitionOf(key, 0, key.length, 4)}`]);
});

test('what kcat -J prints is read', async () => {
  const line =
    '{"topic":"exposures","partition":3,"offset":812,"tstype":"create","ts":1700000000123,"broker":1,"headers":["a","b"],"key":"u1","payload":"{\\"event_id\\":\\"e\\"}"}';
  expect(await readAll(await sourceOf(`${line}\n`))).toEqual({
    'exposures/3': [{ offset: 0, key: 'u1', value: '{"event_id":"e"}', timestampMs: 1_700_000_000_123 }],
  });
  expect(await onlyRecord('{"topic":"exposures","partition":0,"ts":-1,"key":null,"payload":null}')).toMatchObject({
    key: null,
    value: null,
    timestampMs: Number.NaN,
  });
});

test.each([
  ['no JSON', '"value" is missing', '{"topic":"impressions","key":"k"}'],
  ['another thing', 'it is not a JSON object', '["topic"]'],
  ['a cut line', 'the object does not end', '{"topic":"impressions","key":"k","value":{}'],
  ['a cut value', 'an object or list does not end', '{"topic":"impressions","key":"k","value":{"a":"}"'],
  ['two objects', 'something follows the object', '{"topic":"impressions","value":{}} {}'],
  ['an unknown topic', 'topic "clicks" is none of impressions, exposures', '{"topic":"clicks","value":{}}'],
  ['no topic', '"topic" is missing', '{"value":{}}'],
  ['a key that is no text', '"key" is neither text nor null', '{"topic":"impressions","key":5,"value":{}}'],
  ['a timestamp that is no integer', '"timestamp" is not an integer', '{"topic":"impressions","timestamp":"1","value":{}}'],
  ['a partition beyond the count', 'partition 4 is not below 4', '{"topic":"impressions","partition":4,"value":{}}'],
  ['broken base64', '"value_base64" is not base64', '{"topic":"impressions","value_base64":"a"}'],
  ['a wrong escape', 'a string has a wrong escape', '{"topic":"impressions","key":"\\x","value":{}}'],
])('%s is named with its line, and what came before is still read', async (_what, says, line) => {
  const source = await sourceOf(`{"topic":"impressions","partition":1,"key":"k","value":{}}\n\n${line}\n`);
  const recorder = new AssignmentRecorder();
  await source.start(recorder);
  const feed = recorder.feeds[1];
  feed.seek(0);
  await expect(recorder.feeds[0].poll(0).catch((error: Error) => error)).resolves.toBeInstanceOf(Error);
  recorder.feeds[0].seek(0);
  await expect(recorder.feeds[0].poll(0)).rejects.toMatchObject({ code: 'bad_line', message: expect.stringContaining(`line 3: ${says}`) });
  expect(recorder.failures).toMatchObject([{ code: 'bad_line' }]);
  expect((await feed.poll(0))?.nextOffset).toBe(1);
  await source.stop();
});

test('a missing file is named', async () => {
  const source = new FileSource(join(folder, 'not-there'), { topics: ['impressions'], partitions: 1, clock });
  await expect(source.start(new AssignmentRecorder())).rejects.toMatchObject({ code: 'bad_setting' });
});

test('the end is unknown until everything was read', async () => {
  const source = await sourceOf('\ufeff{"topic":"impressions","partition":0,"key":"k","value":{}}\n\n');
  const recorder = new AssignmentRecorder();
  await source.start(recorder);
  const [feed, other] = recorder.feeds;
  expect([(await feed.bounds()).end, feed.endReachedMs(0), source.exhausted]).toEqual([Number.POSITIVE_INFINITY, null, false]);
  feed.seek(0);
  await feed.poll(0);
  await feed.poll(0);
  await source.onExhausted;
  expect([(await feed.bounds()).end, source.exhausted]).toEqual([1, true]);
  expect([feed.endReachedMs(0), other.endReachedMs(0)]).toEqual([null, expect.any(Number)]);
  expect(feed.endReachedMs(1)).toEqual(expect.any(Number));
  await source.stop();
});

test('a partition whose task stands still holds reading at the bound, and never loses a record', async () => {
  const line = (i: number): string =>
    `{"topic":"impressions","partition":${i % 2},"key":"k","value":{"i":${i},"pad":"${'x'.repeat(100)}"}}`;
  const text = Array.from({ length: 4000 }, (_, i) => line(i)).join('\n');
  const source = await sourceOf(text, { maxWaitingBytes: 20_000, chunkBytes: 4096 });
  const recorder = new AssignmentRecorder();
  await source.start(recorder);
  const [slow, quick] = recorder.feeds;
  slow.seek(0);
  quick.seek(0);
  const read = async (feed: typeof slow): Promise<number> => {
    let records = 0;
    for (let batch = await feed.poll(0); batch; batch = await feed.poll(0)) records += recordsOf(batch).length;
    return records;
  };
  let fromQuick = await read(quick);
  expect(fromQuick).toBeLessThan(400);
  let fromSlow = 0;
  for (let turns = 0; turns < 100 && !source.exhausted; turns++) {
    fromSlow += await read(slow);
    fromQuick += await read(quick);
  }
  fromSlow += await read(slow);
  expect([fromSlow, fromQuick]).toEqual([2000, 2000]);
  await source.stop();
});

test('however the file is cut into chunks, every record arrives once, in order', async () => {
  const record = fc.record({
    partition: fc.nat(3),
    key: fc.option(fc.string({ maxLength: 8, unit: 'grapheme' }), { nil: null }),
    timestampMs: fc.nat(2 ** 40),
    value: fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 30 }),
      fc.integer({ min: 1, max: 200 }),
      fc.constantFrom('\n', '\r\n', '\n\n'),
      async (given, chunkBytes, newline) => {
        const lines = given.map(({ partition, key, timestampMs, value }) =>
          JSON.stringify({ topic: 'exposures', partition, timestamp: timestampMs, key, value }),
        );
        const all = await readAll(await sourceOf(lines.join(newline), { chunkBytes }));
        const expected: Record<string, (GivenRecord & { offset: number })[]> = {};
        for (const { partition, key, timestampMs, value } of given) {
          const records = expected[`exposures/${partition}`] ?? [];
          records.push({ offset: records.length, key, value: JSON.stringify(value), timestampMs });
          expected[`exposures/${partition}`] = records;
        }
        expect(all).toEqual(expected);
      },
    ),
    { numRuns: 60 },
  );
});

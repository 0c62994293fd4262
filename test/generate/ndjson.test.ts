import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { generateTraffic, ndjsonLine, truthPathOf, writeNdjson } from '../../src/generate/index.ts';

interface Line {
  topic: string;
  partition: number;
  timestamp: number;
  key: string | null;
  value?: unknown;
  value_base64?: string;
}

const SETTINGS = { impressions: 6000, exposures: 2000, assignments: 500, malformedShare: 0.05, unusualShare: 0.1 };

/** A slow reader: it asks for a pause at every chunk. */
const collector = (chunks: string[]) =>
  new Writable({
    highWaterMark: 1,
    write: (chunk: Buffer, _, done) => {
      chunks.push(chunk.toString());
      setImmediate(done);
    },
  });

describe('traffic as lines', () => {
  it('keeps order, partition, time, key and the bytes of every value', async () => {
    const chunks: string[] = [];
    const lines = await writeNdjson(generateTraffic(SETTINGS), collector(chunks));
    const written = chunks
      .join('')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(lines).toBe(8500);
    const records = [...generateTraffic(SETTINGS)];
    expect(written).toHaveLength(records.length);
    records.forEach(({ topic, partition, timestampMs, key, value }, i) => {
      const line = written[i];
      expect(line).toMatchObject({ topic, partition, timestamp: timestampMs, key: key && Buffer.from(key).toString() });
      const text =
        line.value === undefined ? Buffer.from(line.value_base64!, 'base64') : line.value === null ? null : JSON.stringify(line.value);
      expect(text === null ? null : Buffer.from(text).toString('hex')).toBe(value === null ? null : Buffer.from(value).toString('hex'));
    });
  });

  it('is readable where a record is plain, base64 where it is not', () => {
    const record = { topic: 'impressions', partition: 3, key: Buffer.from('a"b'), timestampMs: 7, plain: true } as const;
    expect(ndjsonLine({ ...record, value: Buffer.from('{"x":1}') })).toBe(
      '{"topic":"impressions","partition":3,"timestamp":7,"key":"a\\"b","value":{"x":1}}\n',
    );
    expect(ndjsonLine({ ...record, key: null, value: Buffer.from([0xff]), plain: false })).toBe(
      '{"topic":"impressions","partition":3,"timestamp":7,"key":null,"value_base64":"/w=="}\n',
    );
    expect(ndjsonLine({ ...record, value: null, plain: false })).toContain('"value":null}');
    expect(truthPathOf('t.ndjson')).toBe('t.ndjson.truth.json');
  });
});

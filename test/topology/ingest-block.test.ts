import { expect, test } from 'vitest';
import { Decoder } from '../../src/operators/decode.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { BLOCK, IngestBlock } from '../../src/topology/ingest-block.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';

const TS = 1_790_000_000_000;

const impression = (eventId: string): string =>
  `{"event_id":"${eventId}","campaign_id":"c","spend_micros":5,"event_ts":${TS},"user_id":"u","surface":"home"}`;

const batchOf = (values: readonly string[]): ListedBatch => {
  const records = values.map((value, offset) => ({ offset, timestampMs: TS, key: Buffer.from('u'), value: Buffer.from(value) }));
  return new ListedBatch({ topic: 't', partition: 0, nextOffset: values.length, endOffset: values.length, byteLength: 0 }, records);
};

const blockOf = (): IngestBlock => {
  const decoder = new Decoder('impressions', { mapping: {}, maxSpendMicros: 1e12, maxFutureSkewMs: 3e5 });
  return new IngestBlock('impressions', decoder, new SeededHash(new Uint8Array(8).fill(7)));
};

/** Of each block, its records: the id of one that is good, null for one that is not. */
const blocksOf = (values: readonly string[]): (string | null)[][] => {
  const block = blockOf();
  const batch = batchOf(values);
  const blocks: (string | null)[][] = [];
  while (block.fill(batch)) {
    const ids = Array.from({ length: block.size }, (_, i) => {
      if (block.reasons[i] !== 0) return null;
      const { bytes, start, end } = block.event(i).eventId;
      return Buffer.from(bytes.subarray(start, end)).toString();
    });
    blocks.push(ids);
  }
  return blocks;
};

test('a run of invalid records fills blocks as good ones do', () => {
  const sizes = (values: readonly string[]): number[] => blocksOf(values).map(({ length }) => length);
  const many = 2 * BLOCK + 5;
  expect(sizes(Array.from({ length: many }, (_, i) => impression(`e${i}`)))).toEqual([BLOCK, BLOCK, 5]);
  expect(sizes(Array<string>(many).fill('{"not": "an impression"}'))).toEqual([BLOCK, BLOCK, 5]);
  expect(sizes(Array<string>(many).fill('not JSON'))).toEqual([BLOCK, BLOCK, 5]);
});

test('a record that only the slow path can read keeps its texts while others of its block are read', () => {
  const escaped = (eventId: string): string => impression(`\\u0065${eventId}`);
  const values = [impression('a'), 'not JSON', escaped('b'), '{}', escaped('c'), impression('d'), '{}'];
  expect(blocksOf(values)).toEqual([['a', null, 'eb', null, 'ec', 'd', null]]);
  const many = Array.from({ length: BLOCK }, (_, i) => `${i}${'x'.repeat(200)}`);
  expect(blocksOf(many.map(escaped))).toEqual([many.map((id) => `e${id}`)]);
});

test('values too large to be copied, and lying in many buffers, are read all the same', () => {
  const large = (eventId: string): string => `{"x":"${'y'.repeat(300_000)}",${impression(eventId).slice(1)}`;
  expect(blocksOf([impression('a'), large('b'), impression('c'), large('d')])).toEqual([['a', 'b', 'c', 'd']]);
});

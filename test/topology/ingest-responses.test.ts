/** From responses of a broker, in memory that is used again, to what was judged of them: nothing of where records lay may change what they count. */
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { BYTES_AT, DecoderMemory } from '../../src/operators/decoder-memory.ts';
import type { KafkaFeed } from '../../src/topology/sources/kafka-feed.ts';
import { columnsInPlace, releaseOf } from '../../src/topology/sources/kafkajs-decoding.ts';
import { bytesOf, ListedBatch, type ListedRecord } from '../../src/topology/sources/listed-batch.ts';
import { openRecordSet } from '../../src/topology/sources/record-set.ts';
import { responses } from '../../src/topology/sources/response-pool.ts';
import { STREAMS, type Stream } from '../../src/topology/types.ts';
import { encodeBatch } from '../kafka/record-batch.ts';
import { feedOf } from './sources/feed-alone.ts';
import { Staged } from './staged.ts';

const START_MS = 1_790_000_000_000;
const POISON = 0x7d;
const HEAD_BYTES = 50;
const LARGE_BYTES = 1 << 16;

/** Records a batch, and its codec (0 none, 1 gzip), of fetches that wait together: the next are fetched when these have been judged. */
const ROUNDS: { records: number; codec: number }[][][] = [
  // The first is more than a slice; after it small ones, which lie in memory of their own.
  [
    [
      { records: 7000, codec: 0 },
      { records: 5500, codec: 0 },
    ],
    [{ records: 40, codec: 0 }],
    [{ records: 3000, codec: 1 }],
  ],
  [[{ records: 2000, codec: 0 }], [{ records: 70, codec: 1 }], [{ records: 12_100, codec: 1 }], [{ records: 90, codec: 0 }]],
  [
    [
      { records: 1500, codec: 0 },
      { records: 1500, codec: 1 },
      { records: 700, codec: 0 },
      { records: 2, codec: 1 },
    ],
  ],
  [
    [
      { records: 900, codec: 1 },
      { records: 900, codec: 0 },
    ],
    [
      { records: 30, codec: 1 },
      { records: 3, codec: 0 },
    ],
  ],
  ...Array.from({ length: 8 }, (_, i) => [
    [{ records: 1900 + i, codec: 0 }],
    [{ records: 20 + i, codec: 0 }],
    [{ records: 1800 - i, codec: i % 2 }],
    [{ records: 65 - i, codec: 0 }],
  ]),
];

/** Some of them twice, late, or beyond reading; some are left to TypeScript. */
function recordAt(stream: Stream, offset: number): ListedRecord {
  const timestampMs = START_MS + 40 * offset;
  const late = offset % 97 === 0 ? 9_000_000 : 0;
  const ids = { event_id: `e${offset % 41 === 0 ? offset - 41 : offset}`, event_ts: offset % 211 === 0 ? 'x' : timestampMs - late };
  const unit = `u${(offset * 7919) % 5003}`;
  const group = { experiment_id: `x${offset % 5}`, variant_id: `v${offset % 2}`, unit_id: unit };
  const spent = { campaign_id: `c${offset % 17}`, spend_micros: offset % 1000, user_id: unit, surface: `s${offset % 9}` };
  const fields = { ...ids, ...(stream === 'impressions' ? spent : group) };
  const text = JSON.stringify(fields);
  const value = offset % 13 === 0 ? text.replace('"e', '"\\u0065') : text;
  return { offset, timestampMs, key: offset % 29 === 0 ? null : Buffer.from(unit), value: Buffer.from(value) };
}

const setOf = async (batches: readonly { records: ListedRecord[]; codec: number }[]): Promise<Buffer> =>
  Buffer.concat(
    await Promise.all(
      batches.map(({ records, codec }) => {
        const [{ offset: baseOffset, timestampMs: baseTimeMs }] = records;
        const given = records.map(({ key, value, offset, timestampMs }) => ({
          ...{ key, value, headers: [] },
          offsetDelta: offset - baseOffset,
          timeDeltaMs: timestampMs - baseTimeMs,
        }));
        return encodeBatch(given, { baseOffset, baseTimeMs, codec });
      }),
    ),
  );

/** As a broker's answer: somewhere in a response. */
function received(set: Buffer): Buffer {
  const response = responses.take(HEAD_BYTES + set.length);
  response.set(set, HEAD_BYTES);
  return response.subarray(HEAD_BYTES);
}

/** Hands a set to the feed; all that its records lie in is overwritten when they have been judged. Returns whether they were found where they lie. */
async function deliver(feed: KafkaFeed, fetchOffset: number, set: Buffer): Promise<boolean> {
  const opened = await openRecordSet(received(set));
  const records = columnsInPlace(opened, fetchOffset, []);
  const memories = new Set(opened.batches.flatMap(({ fetched, bytes }) => [fetched.buffer, bytes.buffer]));
  const release = releaseOf(opened, records);
  const { nextOffset, byteLength, fault } = opened;
  const place = { topic: 't', partition: 0, fetchOffset, nextOffset, lastStableOffset: nextOffset, byteLength };
  const poisoned = () => {
    release();
    for (const memory of memories)
      if (memory.byteLength >= LARGE_BYTES) new Uint8Array(memory).fill(POISON, DecoderMemory.of(memory) ? BYTES_AT : 0);
  };
  feed.deliver({ ...place, records, fault, release: poisoned }, 0);
  return records.isGuest;
}

test.each(STREAMS)('%s that lie in responses, used again for the next, count as those that lie by themselves', async (stream) => {
  const [fetched, listed] = [new Staged(stream), new Staged(stream)];
  const { feed } = feedOf();
  feed.seek(0);
  let next = 0;
  let fetchOffset = 0;
  const foundInPlace = [];
  for (const round of ROUNDS) {
    for (const sizes of round) {
      const batches = sizes.map(({ records: size, codec }) => {
        const records = Array.from({ length: size }, (_, i) => recordAt(stream, next + i));
        next += size;
        return { records, codec };
      });
      const set = await setOf(batches);
      const records = batches.flatMap((batch) => batch.records);
      const isGuest = await deliver(feed, fetchOffset, set);
      if (sizes[0].codec === 0) foundInPlace.push([set.length >= LARGE_BYTES, isGuest]);
      listed.judge(new ListedBatch({ topic: 't', partition: 0, nextOffset: next, endOffset: next, byteLength: bytesOf(records) }, records));
      fetchOffset = next;
    }
    for (let batch = await feed.poll(0); batch !== null; batch = await feed.poll(0)) fetched.judge(batch);
    // Of tens of thousands, vitest would be at it for a minute.
    expect(isDeepStrictEqual(fetched.commit(), listed.commit())).toBe(true);
    const [{ cells, ...outcome }, { cells: expected, ...others }] = [fetched.outcome(), listed.outcome()];
    expect(outcome).toEqual(others);
    expect(isDeepStrictEqual(cells, expected)).toBe(true);
  }
  expect(fetched.stage.position).toBe(next);
  if (DecoderMemory.make(1) !== null) expect(foundInPlace.filter(([isLarge, isGuest]) => isLarge !== isGuest)).toEqual([]);
});

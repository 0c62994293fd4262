import { Producer as OtherProducer, ProduceAcks } from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { readTo, type SeenRecord } from '../conformance/source.ts';
import { RawProducer } from '../kafka/raw-producer.ts';
import { encodePlainBatch, recordsOf } from '../kafka/record-batch.ts';
import { describeIntegration } from '../services/integration.ts';
import { Random } from '../sim/random.ts';
import { KafkaBed } from './kafka-bed.ts';

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
const DECODERS = ['in_place', 'kafkajs'] as const;
const BATCHES_OF_A_CODEC = 12;

/** One to many records, of nothing, of noise, and of what compresses well. */
const batchOf = (random: Random): { key: string | null; value: string | null; timestampMs: number }[] => {
  const count = random.pick([1, 2, 7, 100, 1500]);
  const text = (): string | null => {
    const kind = random.int(0, 4);
    if (kind === 0) return random.chance(0.5) ? null : '';
    if (kind === 1) return 'x'.repeat(random.int(1, 400));
    return Array.from({ length: random.int(1, 60) }, () => String.fromCodePoint(random.int(0x20, 0x2fff))).join('');
  };
  // Not in the future: a broker refuses that.
  const baseMs = random.int(1, 1_700_000_000_000);
  return Array.from({ length: count }, () => ({ key: text(), value: text(), timestampMs: baseMs + random.int(0, 5000) }));
};

/** Seeded batches in every codec, by a client that shares nothing with the one that reads. */
const produceAll = async (brokers: string, topic: string, seed: number): Promise<SeenRecord[]> => {
  const producer = new OtherProducer({ clientId: 'other', bootstrapBrokers: brokers.split(',') });
  const random = new Random(seed);
  const sent: SeenRecord[] = [];
  for (const codec of CODECS) {
    for (let n = 0; n < BATCHES_OF_A_CODEC; n++) {
      const batch = batchOf(random);
      const messages = batch.map(({ key, value, timestampMs }) => ({
        topic,
        partition: 0,
        timestamp: BigInt(timestampMs),
        ...(key === null ? {} : { key: Buffer.from(key) }),
        ...(value === null ? {} : { value: Buffer.from(value) }),
        headers: new Map([[Buffer.from('h'), Buffer.from('x')]]),
      }));
      await producer.send({ messages, compression: codec, acks: ProduceAcks.ALL });
      for (const record of batch) sent.push({ offset: sent.length, ...record });
    }
  }
  await producer.close();
  return sent;
};

describeIntegration('what other clients write', ({ kafkaBrokers }) => {
  test('any records, in any codec and size of batch, come out of both decoders as they went in', async () => {
    const bed = await KafkaBed.open(kafkaBrokers);
    const sent = await produceAll(kafkaBrokers, bed.topic, 7);
    for (const decoder of DECODERS) {
      const { source, feed } = await bed.joined({ decoder });
      for (const from of [0, Math.floor(sent.length / 3)]) {
        feed.seek(from);
        expect(await readTo(feed, sent.length)).toEqual(sent.slice(from));
      }
      await source.stop();
    }
    await bed.close();
  });

  test('a topic that stamps records itself gives each its time', async () => {
    const bed = await KafkaBed.open(kafkaBrokers, 1, { 'message.timestamp.type': 'LogAppendTime' });
    await bed.append(0, [{ key: 'k', value: 'v', timestampMs: 5 }]);
    for (const decoder of DECODERS) {
      const { source, feed } = await bed.joined({ decoder });
      feed.seek(0);
      expect((await readTo(feed, 1))[0].timestampMs).toBeGreaterThan(1_700_000_000_000);
      await source.stop();
    }
    await bed.close();
  });

  test('batches written byte for byte by hand are read as well', async () => {
    const bed = await KafkaBed.open(kafkaBrokers, 1);
    const raw = await RawProducer.open(kafkaBrokers);
    await raw.append(bed.topic, 0, encodePlainBatch(recordsOf(['a', 'b']), { baseOffset: 0, baseTimeMs: 1_790_000_000_000 }));
    await raw.append(bed.topic, 0, encodePlainBatch(recordsOf(['c']), { baseOffset: 0, baseTimeMs: 1_790_000_000_500 }));
    const { feed } = await bed.joined();
    feed.seek(0);
    const seen = await readTo(feed, 3);
    expect(seen.map(({ offset, value, timestampMs }) => [offset, value, timestampMs - 1_790_000_000_000])).toEqual([
      [0, 'a', 0],
      [1, 'b', 1],
      [2, 'c', 500],
    ]);
    raw.close();
    await bed.close();
  });
});

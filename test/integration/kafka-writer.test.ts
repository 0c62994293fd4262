import { expect, test } from 'vitest';
import { describeTopics } from '../../src/topology/sources/kafka-topics.ts';
import { KafkaWriter, type KafkaWriterOptions } from '../../src/topology/sources/kafka-writer.ts';
import type { OutRecord } from '../../src/topology/types.ts';
import { logWriterConformance, type WrittenRecord } from '../conformance/log-writer.ts';
import { readTo } from '../conformance/source.ts';
import { describeIntegration, uniqueName } from '../services/integration.ts';
import { clock, eventually, KafkaBed, silent } from './kafka-bed.ts';

/** By a stock consumer, which unlike our sources tells headers. */
const readPartition = async (bed: KafkaBed, partition: number): Promise<WrittenRecord[]> => {
  const offsets = await bed.withAdmin((admin) => admin.fetchTopicOffsets(bed.topic));
  const end = Number(offsets.find((offset) => offset.partition === partition)?.high ?? 0);
  if (end === 0) return [];
  const consumer = bed.kafka.consumer({ groupId: uniqueName('reader'), maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [bed.topic], fromBeginning: true });
  const written: WrittenRecord[] = [];
  await consumer.run({
    eachMessage: async ({ partition: of, message: { key, value, headers = {} } }) => {
      if (of !== partition) return;
      const textual = Object.entries(headers).map(([name, header]) => [name, String(header)]);
      written.push({ key: key && String(key), value: value && String(value), headers: Object.fromEntries(textual) });
    },
  });
  await eventually(() => written.length >= end);
  await consumer.disconnect();
  return written;
};

describeIntegration('a writer to a real Kafka', ({ kafkaBrokers }) => {
  const writerOn = (bed: KafkaBed, options: Partial<KafkaWriterOptions> = {}): KafkaWriter =>
    new KafkaWriter(bed.kafka, { clock, logger: silent, ...options });

  const record = (bed: KafkaBed, value: Buffer): OutRecord => ({ topic: bed.topic, partition: 0, key: null, value });

  logWriterConformance(async () => {
    const bed = await KafkaBed.open(kafkaBrokers, 4);
    return {
      topic: bed.topic,
      partitions: 4,
      open: () => writerOn(bed),
      read: (partition) => readPartition(bed, partition),
      close: () => bed.close(),
    };
  });

  test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('what was written with %s is read again', async (compression) => {
    const bed = await KafkaBed.open(kafkaBrokers, 1);
    const writer = writerOn(bed, { compression });
    const values = Array.from({ length: 40 }, (_, i) => `value ${i} ${'abc'.repeat(50)}`);
    await writer.send(values.map((value) => record(bed, Buffer.from(value))));
    const { feed } = await bed.joined();
    feed.seek(0);
    expect((await readTo(feed, 40)).map(({ value }) => value)).toEqual(values);
    await writer.close();
    await bed.close();
  });

  test('a record too large for its topic is named with its size; calls beside it succeed', async () => {
    const bed = await KafkaBed.open(kafkaBrokers, 1, { 'max.message.bytes': '2000' });
    const writer = writerOn(bed);
    const small = writer.send([record(bed, Buffer.from('a'))]);
    const large = writer.send([record(bed, Buffer.from('b')), record(bed, Buffer.alloc(5000, 1))]);
    const many = writer.send(Array.from({ length: 100 }, () => record(bed, Buffer.alloc(300, 2))));
    await expect(large).rejects.toMatchObject({ code: 'message_too_large', message: expect.stringMatching(`5040 bytes for ${bed.topic}`) });
    await Promise.all([small, many]);
    await writer.close();
    await bed.close();
  });

  test('a topic that does not exist is named', async () => {
    const bed = await KafkaBed.open(kafkaBrokers, 1);
    const writer = writerOn(bed, { absentAfterMs: 500 });
    const send = writer.send([{ topic: `${bed.topic}-not-there`, partition: 0, key: null, value: null }]);
    await expect(send).rejects.toMatchObject({ code: 'topic_missing' });
    await writer.close();
    await bed.close();
  });

  test('a topic that the broker does not know yet is waited for, and holds up no other', async () => {
    const { createTopics } = await import('../../src/topology/sources/kafka-topics.ts');
    const bed = await KafkaBed.open(kafkaBrokers, 1);
    const writer = writerOn(bed);
    const unknown = uniqueName('later');
    let ended = false;
    const waiting = writer.send([{ ...record(bed, Buffer.from('a')), topic: unknown }, record(bed, Buffer.from('b'))]).then(() => {
      ended = true;
    });
    await writer.send([record(bed, Buffer.from('c'))]);
    expect((await readPartition(bed, 0)).map(({ value }) => value)).toEqual(['b', 'c']);
    expect(ended).toBe(false);
    await createTopics(bed.kafka, [{ name: unknown, partitions: 1 }]);
    await waiting;
    await bed.withAdmin((admin) => admin.deleteTopics({ topics: [unknown] }));
    await writer.close();
    await bed.close();
  });

  test('topics are described, created when missing and never changed', async () => {
    const { createTopics } = await import('../../src/topology/sources/kafka-topics.ts');
    const bed = await KafkaBed.open(kafkaBrokers, 3, { 'message.timestamp.type': 'LogAppendTime', 'cleanup.policy': 'compact' });
    const another = uniqueName('topic');
    expect(
      await createTopics(bed.kafka, [
        { name: bed.topic, partitions: 9 },
        { name: another, partitions: 2, settings: { 'retention.ms': '60000' } },
      ]),
    ).toEqual([another]);
    const described = await describeTopics(bed.kafka, [bed.topic, another, 'not-there']);
    expect(described.get(bed.topic)).toMatchObject({ partitions: 3, timestampType: 'LogAppendTime', cleanupPolicy: 'compact' });
    expect(described.get(another)).toMatchObject({
      partitions: 2,
      timestampType: 'CreateTime',
      retentionMs: 60_000,
      cleanupPolicy: 'delete',
    });
    expect(described.size).toBe(2);
    await bed.withAdmin((admin) => admin.deleteTopics({ topics: [another] }));
    await bed.close();
  });

  test('without a broker a send waits, and ends when the writer is closed', async () => {
    const { kafkaClient } = await import('../../src/topology/sources/kafka-client.ts');
    let warned = 0;
    const logger = { ...silent, warn: () => void warned++ };
    const writer = new KafkaWriter(kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, silent), { clock, logger });
    const outcome = writer.send([{ topic: 't', partition: 0, key: null, value: null }]).catch((error: unknown) => error);
    await eventually(() => warned > 1);
    await writer.close();
    expect(await outcome).toMatchObject({ code: 'kafka_unreachable' });
  });
});

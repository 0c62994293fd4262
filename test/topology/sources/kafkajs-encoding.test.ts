import { createRequire } from 'node:module';
import type { Message } from 'kafkajs';
import { beforeAll, describe, expect, it } from 'vitest';
import { acknowledged, lost, messageOfBatch } from '../../../src/topology/sources/kafkajs-encoding.ts';
import { repairKafkajs } from '../../../src/topology/sources/kafkajs-internals.ts';
import { requestMemory } from '../../../src/topology/sources/request-memory.ts';
import { int16, int32 } from '../../kafka/wire-numbers.ts';

interface Encoded {
  buffer: Buffer;
}

const require = createRequire(import.meta.url);

/** A produce request as it goes to the socket. */
async function requestOf(given: { clientId?: string; topic?: string; batches?: Buffer[]; messages?: Message[] }) {
  const { clientId = 'client', topic = 'topic', batches = [] } = given;
  const { messages = batches.map((batch, partition) => messageOfBatch(partition, batch)) } = given;
  const produce = require('kafkajs/src/protocol/requests/produce/index.js') as {
    protocol(of: { version: number }): (given: object) => { request: object };
  };
  const createRequest = require('kafkajs/src/protocol/request.js') as (given: object) => Promise<Encoded>;
  const partitions = messages.map((message, partition) => ({ partition, messages: [message] }));
  const { request } = produce.protocol({ version: 7 })({ acks: -1, timeout: 1000, topicData: [{ topic, partitions }] });
  return (await createRequest({ request, correlationId: 7, clientId })).buffer;
}

const text = (content: string): Buffer => Buffer.concat([int16(content.length), Buffer.from(content)]);

/** The same by the protocol (Produce, version 7). */
function expected({ clientId = 'client', topic = 'topic', batches }: { clientId?: string; topic?: string; batches: Buffer[] }): Buffer {
  const parts = batches.flatMap((batch, partition) => [int32(partition), int32(batch.length), batch]);
  const head = [int16(0), int16(7), int32(7), text(clientId), int16(-1), int16(-1), int32(1000), int32(1), text(topic)];
  const request = Buffer.concat([...head, int32(batches.length), ...parts]);
  return Buffer.concat([int32(request.length), request]);
}

const batchOf = (bytes: number, fill: number): Buffer => Buffer.alloc(bytes, fill);

describe('a produce request of batches', () => {
  beforeAll(repairKafkajs);

  it('is made of its batches, with the headers in front', async () => {
    const given = { batches: [batchOf(100_000, 1), batchOf(61, 2), batchOf(3000, 3)] };
    expect((await requestOf(given)).equals(expected(given))).toBe(true);
  });

  it('may have a topic of the longest name, and a client whose name finds no room before it', async () => {
    const given = { topic: 't'.repeat(249), clientId: 'c'.repeat(5000), batches: [batchOf(100, 1)] };
    expect((await requestOf(given)).equals(expected(given))).toBe(true);
  });

  it('lies in memory of one that was acknowledged, and of none that was not', async () => {
    const given = (fill: number) => ({ batches: [batchOf(200_000, fill)] });
    const unknown = await requestOf(given(1));
    const messages = [messageOfBatch(0, requestMemory(200_000).fill(2))];
    const sent = await requestOf({ messages });
    acknowledged(messages);
    acknowledged(messages);
    const next = [await requestOf(given(3)), await requestOf(given(4)), await requestOf(given(5))];
    expect(next.map((request, i) => request.equals(expected(given(3 + i))))).toEqual([true, true, true]);
    expect(next.filter(({ buffer }) => buffer === sent.buffer)).toHaveLength(1);
    expect(next.filter(({ buffer }) => buffer === unknown.buffer)).toEqual([]);
  });

  it('that was lost is never used again, though its batches are acknowledged in another, with others before them', async () => {
    const messages = [0, 1].map((partition) => messageOfBatch(partition, batchOf(300_000, partition)));
    const first = [await requestOf({ messages: [messages[0]] }), await requestOf({ messages: [messages[1]] })];
    lost(messages);
    const second = await requestOf({ messages });
    acknowledged(messages);
    const next: Buffer[] = [];
    for (let i = 0; i < 5; i++)
      next.push(await requestOf({ batches: [batchOf(300_000, i)] }), await requestOf({ batches: [batchOf(600_000, i)] }));
    const memories = next.map(({ buffer }) => buffer);
    expect(memories).toContain(second.buffer);
    for (const { buffer } of first) expect(memories).not.toContain(buffer);
  });

  it('is not disturbed by another that is made at the same time', async () => {
    const one = { batches: [batchOf(70_000, 1)] };
    const other = { topic: 'other', batches: [batchOf(80_000, 2)] };
    const [first, second] = await Promise.all([requestOf(one), requestOf(other)]);
    expect(first.equals(expected(one))).toBe(true);
    expect(second.equals(expected(other))).toBe(true);
  });
});

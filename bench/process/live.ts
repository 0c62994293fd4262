/** Impressions produced at a steady rate, both stages counting them: how long until they are visible. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawProducer } from '../../test/kafka/raw-producer.ts';
import { check } from '../figures.ts';
import { Run } from './bed.ts';
import { batchOf, expect, type LoadPlan, nothingExpected } from './load.ts';
import type { Measured } from './protocol.ts';
import type { Work } from './scenarios.ts';

const CAMPAIGNS = 1000;
const TICK_MS = 20;
/** Well under the largest message that a broker takes. */
const MOST_A_BATCH = 2500;
/** So much is encoded before it begins: encoding would take the broker's core. */
const MAX_BYTES = 1_200_000_000;
const BYTES_A_RECORD = 280;
const SECONDS = 20;
/** Encoding takes about so long a record. */
const ENCODE_MS = 0.006;
const START_UP_MS = 15_000;

export async function liveRun(work: Work, eventsPerS: number): Promise<{ latenciesMs: number[]; measured: Measured }> {
  const run = await Run.open(work.services.kafkaBrokers, randomUUID(), 1);
  const perTick = Math.max(1, Math.round((eventsPerS * TICK_MS) / 1000));
  const ticks = Math.floor(Math.min(SECONDS * eventsPerS, MAX_BYTES / BYTES_A_RECORD) / perTick);
  const baseMs = Date.now() + START_UP_MS + ticks * perTick * ENCODE_MS;
  const plan: LoadPlan = {
    topic: run.topic,
    partitions: 1,
    stream: 'impressions',
    codec: 0,
    campaigns: CAMPAIGNS,
    count: ticks * perTick,
    baseMs,
  };
  const expected = nothingExpected(CAMPAIGNS);
  // Each record's time is that of its tick.
  const timeMs = (i: number): number => baseMs + Math.floor(i / perTick) * TICK_MS;
  const batches: Buffer[][] = [];
  for (let tick = 0; tick < ticks; tick++) {
    const ofTick: Buffer[] = [];
    for (let done = 0; done < perTick; done += MOST_A_BATCH) {
      const stretch = { partition: 0, from: tick * perTick + done, count: Math.min(MOST_A_BATCH, perTick - done) };
      expect(plan, stretch, expected);
      ofTick.push(await batchOf(plan, stretch, timeMs));
    }
    batches.push(ofTick);
  }
  const worker = await run.start({ records: plan.count, baseMs, redisUrl: work.services.redisUrl, profile: work.profile });
  const producer = await RawProducer.open(work.services.kafkaBrokers);
  const lateMs = Date.now() - baseMs;
  if (lateMs > 0) throw new Error(`the data was ready ${lateMs} ms too late: a slower machine than thought of`);
  for (const [tick, ofTick] of batches.entries()) {
    await sleep(Math.max(0, baseMs + tick * TICK_MS - Date.now()));
    for (const batch of ofTick) await producer.append(run.topic, 0, batch);
  }
  producer.close();
  const measured = await worker.measured();
  check('accepted', measured.accepted, expected.accepted);
  await run.verify(expected);
  await run.close();
  return { latenciesMs: measured.latenciesMs, measured };
}

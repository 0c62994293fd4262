/** `generate --kafka`: as fast as Kafka takes it, at a rate, or live and without end. */
import type { Kafka } from 'kafkajs';
import { pino } from 'pino';
import type { Settings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { generateTraffic, type SourceRecord, type TrafficSettings, type Truth } from '../generate/index.ts';
import { kafkaError } from '../topology/sources/kafka-client.ts';
import { describeTopics, type TopicDescription } from '../topology/sources/kafka-topics.ts';
import { STREAMS, type Stream } from '../topology/types.ts';
import { openKafka } from './connect.ts';
import { type GenerateOptions, rateOf, trafficOf } from './generate-options.ts';
import type { Host } from './host.ts';
import { Progress } from './progress.ts';
import { TrafficProducer } from './traffic-producer.ts';

const LOOK_MS = 20;
/** Live traffic is made a piece at a time. */
const PIECE_MS = 600_000;
const SPAN_MS = 30 * 3_600_000;
const SHARES = { impressions: 100_000 / 140_000, exposures: 30_000 / 140_000, assignments: 10_000 / 140_000 };

export interface Produced {
  records: number;
  /** Null when there is none: without end, or stopped before it. */
  truth: Truth | null;
}

type Pace = (record: SourceRecord, sent: number) => Promise<boolean> | null;

/** Everything is acknowledged when it resolves. Rejects with `topic_missing`, `bad_setting` and Kafka's errors. */
export async function produceTraffic(host: Host, settings: Settings, options: GenerateOptions): Promise<Produced> {
  const kafka = openKafka(settings, pino({ level: 'silent' }));
  const topics = Object.fromEntries(STREAMS.map((stream) => [stream, settings.streams[stream].topic])) as Record<Stream, string>;
  const given = await fitTopics(host, kafka, { options, traffic: trafficOf(options, settings), topics: Object.values(topics) });
  const producer = new TrafficProducer(kafka, topics);
  await producer.connect();
  try {
    return options.forever ? await live(host, producer, { options, given }) : await once(host, producer, { options, given });
  } finally {
    await producer.close();
  }
}

interface Work {
  options: GenerateOptions;
  given: Partial<TrafficSettings>;
}

async function once(host: Host, producer: TrafficProducer, { options, given }: Work): Promise<Produced> {
  const spanMs = given.spanMs ?? SPAN_MS;
  const traffic = generateTraffic({ baseMs: Math.floor(host.clock.now().wallMs) - spanMs, ...given });
  const progress = new Progress(host, { what: 'records', total: traffic.total });
  const rate = rateOf(options);
  const startedMs = host.clock.now().monotonicMs;
  const due = (sent: number) => ((sent - 1) / (rate ?? 1)) * 1000 <= host.clock.now().monotonicMs - startedMs;
  const pace: Pace = (_record, sent) => (rate === null || due(sent) ? null : waitUntil(host, () => due(sent)));
  const records = await produce(host, producer, { records: traffic, pace, tell: (sent) => progress.at(sent) });
  progress.end(records);
  return { records, truth: records === traffic.total ? traffic.truth() : null };
}

async function live(host: Host, producer: TrafficProducer, { options, given }: Work): Promise<Produced> {
  const count = ((rateOf(options) ?? 1) * PIECE_MS) / 1000;
  const counts = Object.fromEntries(STREAMS.map((stream) => [stream, Math.round(count * SHARES[stream])]));
  const progress = new Progress(host, { what: 'records', total: null });
  const isDue = ({ timestampMs }: SourceRecord) => timestampMs <= host.clock.now().wallMs;
  const pace: Pace = (record) => (isDue(record) ? null : waitUntil(host, () => isDue(record)));
  let records = 0;
  let baseMs = Math.floor(host.clock.now().wallMs);
  // The same seed again after a restart would send the same event ids again: duplicates, for a day.
  const ownSeed = Math.floor(baseMs / 1000) % 2 ** 32;
  for (let seed = given.seed ?? ownSeed; !host.stopping.aborted; seed = (seed + 1) % 2 ** 32) {
    // Odd ids would be others in each piece, and no id can come again after its TTL within one.
    const piece = { oddIdShare: 0, reusedIdShare: 0, ...counts, ...given, baseMs, spanMs: PIECE_MS, seed };
    const before = records;
    records += await produce(host, producer, { records: generateTraffic(piece), pace, tell: (sent) => progress.at(before + sent) });
    baseMs += PIECE_MS;
  }
  progress.end(records);
  return { records, truth: null };
}

/** False when stopped meanwhile. */
async function waitUntil(host: Host, reached: () => boolean): Promise<boolean> {
  while (!reached() && !host.stopping.aborted) await host.clock.sleep(LOOK_MS, host.stopping);
  return !host.stopping.aborted;
}

interface Production {
  records: Iterable<SourceRecord>;
  /** Null: send it at once; else whether to send it, when it is time. */
  pace: Pace;
  tell: (sent: number) => void;
}

/** Resolves with how many were sent. */
async function produce(host: Host, producer: TrafficProducer, { records, pace, tell }: Production): Promise<number> {
  let sent = 0;
  for (const record of records) {
    const waiting = pace(record, sent + 1);
    if (waiting !== null) {
      await producer.flush();
      tell(sent);
      if (!(await waiting)) break;
    }
    sent++;
    if (!producer.add(record)) continue;
    await producer.flush();
    tell(sent);
    if (host.stopping.aborted) break;
  }
  await producer.finish();
  return sent;
}

interface Fit {
  options: GenerateOptions;
  traffic: Partial<TrafficSettings>;
  topics: readonly string[];
}

/** The traffic's settings as these topics need them. */
async function fitTopics(host: Host, kafka: Kafka, { options, traffic, topics }: Fit): Promise<Partial<TrafficSettings>> {
  const found = await describeTopics(kafka, topics);
  const missing = topics.filter((name) => !found.has(name));
  if (missing.length > 0) {
    throw new StreamError(
      'topic_missing',
      `There is no topic ${missing.join(', ')}: \`exposure-stream migrate --topics\` creates what is missing`,
    );
  }
  const descriptions = [...found.values()];
  const fitted = { ...traffic, partitions: partitionsOf(descriptions, options.partitions) };
  if (fitted.partitions === 1) fitted.idlePartitions ??= 0;
  const filled = await filledOf(kafka, topics);
  if (filled.length > 0 && !options.forever) {
    host.err.write(`${filled.join(', ')} held records before: the truth is of the records produced now only.\n`);
  }
  if (!descriptions.some(({ timestampType }) => timestampType === 'LogAppendTime') || options.forever) return fitted;
  return withoutSkew(host, fitted);
}

function partitionsOf(topics: readonly TopicDescription[], wanted: number | undefined): number {
  const counts = new Set(topics.map(({ partitions }) => partitions));
  const shown = topics.map(({ name, partitions }) => `${name} ${partitions}`).join(', ');
  if (counts.size > 1) throw new StreamError('bad_setting', `generate: the topics have ${shown} partitions; expected as many in each`);
  const [count] = counts;
  if (wanted !== undefined && wanted !== count) {
    throw new StreamError('bad_setting', `generate: --partitions is ${wanted}, the topics have ${shown}; leave it out`);
  }
  return count;
}

async function filledOf(kafka: Kafka, topics: readonly string[]): Promise<string[]> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const ends = await Promise.all(topics.map((topic) => admin.fetchTopicOffsets(topic)));
    return topics.filter((_, i) => ends[i].some(({ high }) => Number(high) > 0));
  } catch (error) {
    throw kafkaError(error);
  } finally {
    await admin.disconnect();
  }
}

/** Where brokers stamp records, a clock ahead of a time in the past is not seen as such. */
function withoutSkew(host: Host, traffic: Partial<TrafficSettings>): Partial<TrafficSettings> {
  if (traffic.skewShare) {
    throw new StreamError(
      'bad_setting',
      `generate: skewShare is ${traffic.skewShare}, but the topics have LogAppendTime, where such records would not be judged as meant; expected 0`,
    );
  }
  host.err.write('The topics have LogAppendTime: no records of clocks that are ahead (skewShare 0).\n');
  return { ...traffic, skewShare: 0 };
}

/** The topics this program needs, what each must be like, and what of an existing one would do harm. Pure. */
import { outputTopic, type Settings } from '../config.ts';
import type { TopicDescription, TopicSpec } from '../topology/sources/kafka-topics.ts';
import { STREAMS } from '../topology/types.ts';
import type { Status } from './paint.ts';

const DAY_MS = 86_400_000;
const NEW_RETENTION_MS = 14 * DAY_MS;
const ALERTS_RETENTION_MS = 90 * DAY_MS;
const FOR_EVER = -1;

const SIDE_OUTPUTS = ['unique', 'duplicates', 'late', 'invalid', 'violations'] as const;

/** A copy's value is at most this long (contract); its key is as long as the source's, its headers are short. */
const COPY_VALUE_BYTES = 1_000_000;
const COPY_HEADER_BYTES = 4096;
/** Inputs may be compressed, and their limit is on compressed bytes; copies are not. A higher limit costs nothing until it is used. */
const SIDE_MESSAGE_BYTES = 16 << 20;
/** Below Kafka's limit of a request (socket.request.max.bytes, 100 MiB). */
const LARGEST_MESSAGE_BYTES = 90 << 20;
const OWN_MESSAGE_BYTES = 4 << 20;

/** Tasks a partition: one of each input, one of `.partials`. With a partition each, a restore reads little that is not its own. */
const STATE_TASKS = STREAMS.length + 1;
/** What a snapshot replaced is gone within hours: a segment that is still written to is never compacted. */
const STATE_SETTINGS = {
  'cleanup.policy': 'compact',
  'max.message.bytes': String(OWN_MESSAGE_BYTES),
  'segment.bytes': String(128 << 20),
  'segment.ms': String(3_600_000),
  'min.cleanable.dirty.ratio': '0.2',
  'delete.retention.ms': String(3_600_000),
};
/** Commits are cut into records of 900 kB. */
const STATE_MESSAGE_BYTES = 1_000_000;

type Described = ReadonlyMap<string, TopicDescription>;

export interface TopicHarm {
  topic: string;
  status: Exclude<Status, 'ok'>;
  says: string;
  todo: string;
}

export const inputTopicsOf = (settings: Settings): string[] => STREAMS.map((stream) => settings.streams[stream].topic);

export const outputTopicsOf = (settings: Settings): string[] =>
  (['partials', 'state', ...SIDE_OUTPUTS, 'alerts'] as const).map((name) => outputTopic(settings, name));

/** New inputs: stamped by the broker, so that no producer's clock can hold back or pull a watermark. All else is the broker's default. */
export const inputSpecs = (settings: Settings, partitions: number): TopicSpec[] =>
  inputTopicsOf(settings).map((name) => ({ name, partitions, settings: { 'message.timestamp.type': 'LogAppendTime' } }));

/**
 * @param inputs as they are, those just created included
 * @param newInputs whether one of them was just created
 */
export function outputSpecs(settings: Settings, partitions: number, inputs: Described, newInputs: boolean): TopicSpec[] {
  const retentionMs = retentionFor([...inputs.values()], newInputs ? NEW_RETENTION_MS : 0);
  const kept = { 'cleanup.policy': 'delete', 'retention.ms': String(retentionMs), 'retention.bytes': '-1' };
  const named = (name: Parameters<typeof outputTopic>[1]) => outputTopic(settings, name);
  const sideBytes = Math.min(Math.max(SIDE_MESSAGE_BYTES, copyBytes(inputs)), LARGEST_MESSAGE_BYTES);
  return [
    {
      name: named('partials'),
      partitions,
      settings: { ...kept, 'message.timestamp.type': 'LogAppendTime', 'max.message.bytes': String(OWN_MESSAGE_BYTES) },
    },
    { name: named('state'), partitions: STATE_TASKS * partitions, settings: STATE_SETTINGS },
    ...SIDE_OUTPUTS.map((name) => ({ name: named(name), partitions, settings: { ...kept, 'max.message.bytes': String(sideBytes) } })),
    { name: named('alerts'), partitions: 1, settings: { 'cleanup.policy': 'delete', 'retention.ms': String(ALERTS_RETENTION_MS) } },
  ];
}

/** Of existing topics, what counts would suffer from. Topics that are missing are not looked at. */
export function harmsOf(settings: Settings, topics: Described): TopicHarm[] {
  const inputs = new Map([...topics].filter(([name]) => inputTopicsOf(settings).includes(name)));
  const found = (name: Parameters<typeof outputTopic>[1]) => topics.get(outputTopic(settings, name));
  const harms = [...inputs.values()].flatMap(inputHarms);
  const partials = found('partials');
  if (partials) harms.push(...partialsHarms(partials, retentionFor([...inputs.values()], 0)));
  const state = found('state');
  if (state) harms.push(...stateHarms(state));
  for (const name of SIDE_OUTPUTS) {
    const side = found(name);
    if (side) harms.push(...sideHarms(side, copyBytes(inputs)));
  }
  return harms;
}

function inputHarms(topic: TopicDescription): TopicHarm[] {
  const harms: TopicHarm[] = [];
  if (compacts(topic)) {
    harms.push(harm(topic, 'warning', 'is compacted: Kafka may remove records before they are counted.', 'cleanup.policy=delete'));
  }
  if (topic.timestampType !== 'LogAppendTime') {
    const says = 'has message.timestamp.type CreateTime: the check for clocks that are ahead then trusts the producer’s clock.';
    harms.push(harm(topic, 'warning', says, 'message.timestamp.type=LogAppendTime'));
  }
  return harms;
}

function partialsHarms(topic: TopicDescription, neededMs: number): TopicHarm[] {
  const harms: TopicHarm[] = [];
  if (compacts(topic)) {
    const says = `has cleanup.policy ${topic.cleanupPolicy}: Kafka may remove partials that are still needed.`;
    harms.push(harm(topic, 'error', says, 'cleanup.policy=delete'));
  }
  if (topic.timestampType !== 'LogAppendTime') {
    const says = 'has message.timestamp.type CreateTime: how fresh the counters are is then told by the clocks of single processes.';
    harms.push(harm(topic, 'warning', says, 'message.timestamp.type=LogAppendTime'));
  }
  if (topic.retentionMs !== FOR_EVER && (neededMs === FOR_EVER || topic.retentionMs < neededMs)) {
    const says = `keeps records for ${durationText(topic.retentionMs)}, the inputs for ${durationText(neededMs)}: lost state could not be made anew.`;
    harms.push(harm(topic, 'warning', says, `retention.ms=${neededMs}`));
  }
  return harms;
}

function stateHarms(topic: TopicDescription): TopicHarm[] {
  const harms: TopicHarm[] = [];
  if (topic.cleanupPolicy !== 'compact') {
    const says = `has cleanup.policy ${topic.cleanupPolicy}: state would be deleted by age.`;
    harms.push(harm(topic, 'warning', says, 'cleanup.policy=compact'));
  }
  if (topic.maxMessageBytes < STATE_MESSAGE_BYTES) {
    const says = `takes at most ${topic.maxMessageBytes} bytes a message: with STATE_STORE=kafka large commits would be refused.`;
    harms.push(harm(topic, 'warning', says, `max.message.bytes=${OWN_MESSAGE_BYTES}`));
  }
  return harms;
}

function sideHarms(topic: TopicDescription, neededBytes: number): TopicHarm[] {
  if (compacts(topic)) {
    const says = `has cleanup.policy ${topic.cleanupPolicy}: it refuses copies of records without a key, which stops their partition.`;
    return [harm(topic, 'error', says, 'cleanup.policy=delete')];
  }
  if (topic.maxMessageBytes >= neededBytes) return [];
  const says = `takes at most ${topic.maxMessageBytes} bytes a message: a copy of a large input record would be refused, which stops its partition.`;
  return [harm(topic, 'warning', says, `max.message.bytes=${Math.max(SIDE_MESSAGE_BYTES, neededBytes)}`)];
}

const harm = (topic: TopicDescription, status: TopicHarm['status'], says: string, setting: string): TopicHarm => ({
  topic: topic.name,
  status,
  says: `${topic.name} ${says}`,
  todo: `kafka-configs.sh --alter --entity-type topics --entity-name ${topic.name} --add-config ${setting}`,
});

const compacts = (topic: TopicDescription): boolean => topic.cleanupPolicy.includes('compact');

/** A key may be as long as its topic lets a record be. */
const copyBytes = (inputs: Described): number =>
  COPY_VALUE_BYTES + COPY_HEADER_BYTES + Math.max(0, ...[...inputs.values()].map((topic) => topic.maxMessageBytes));

const retentionFor = (inputs: readonly TopicDescription[], leastMs: number): number =>
  inputs.some(({ retentionMs }) => retentionMs === FOR_EVER)
    ? FOR_EVER
    : Math.max(leastMs, ...inputs.map(({ retentionMs }) => retentionMs));

export const durationText = (ms: number): string => {
  if (ms === FOR_EVER) return 'ever';
  if (ms % DAY_MS === 0) return `${ms / DAY_MS} days`;
  return ms < 3_600_000 ? `${ms} ms` : `${(ms / 3_600_000).toFixed(1)} h`;
};

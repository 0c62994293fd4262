/** `migrate`: Postgres, and where asked for the topics, to what this version needs. What is there already is left as it is. */
import type { Kafka } from 'kafkajs';
import { pino } from 'pino';
import { outputTopic, type Settings } from '../config.ts';
import { codeOf, StreamError } from '../errors.ts';
import { migrate } from '../sinks/migrations.ts';
import { namePostgresError, openPool } from '../sinks/postgres-client.ts';
import { createTopics, describeTopics, type TopicDescription, type TopicSpec } from '../topology/sources/kafka-topics.ts';
import { openKafka } from './connect.ts';
import { type CommonOptions, type Host, printJson, settingsOf } from './host.ts';
import { markOf, type Status } from './paint.ts';
import { harmsOf, inputSpecs, inputTopicsOf, outputSpecs, outputTopicsOf, type TopicHarm } from './topic-plan.ts';

const VISIBLE_WITHIN_MS = 20_000;
const LOOK_AGAIN_MS = 250;
/** What a busy broker says of a topic that it is about to know. */
const PASSING = new Set(['topic_missing', 'kafka_unreachable']);

export interface MigrateOptions extends CommonOptions {
  topics?: boolean;
  partitions: number;
  newEpoch?: boolean;
  confirm?: boolean;
}

/** What the state is tied to, whatever the epoch (state/header.ts). */
const REPARTITIONED = 'a new GROUP_ID and an empty state (STATE_DIR, and .state with STATE_STORE=kafka), to count anew';

type Say = (status: Status, text: string) => void;

interface TopicsResult {
  created: string[];
  existing: string[];
  warnings: TopicHarm[];
}

/** Resolves with the exit code; rejects with what is wrong with Postgres or Kafka. */
export async function migrateCommand(host: Host, options: MigrateOptions): Promise<number> {
  const settings = settingsOf(host, options);
  if (options.newEpoch && !options.confirm) refuseUnconfirmed(settings);
  const say: Say = (status, text) => {
    if (!options.json) host.out.write(`${markOf(host, status)} ${text}\n`);
  };
  const { applied, already } = await migrate(settings.env.DATABASE_URL, {
    log: { info: (fields: { migration?: string }) => say('ok', `Postgres: ${fields.migration} applied`), warn: () => undefined },
  });
  if (applied.length === 0) say('ok', `Postgres: nothing to do, all ${already} migrations have run`);
  const topics = options.topics ? await migrateTopics(host, settings, options, say) : undefined;
  const epoch = options.newEpoch ? await raiseEpoch(settings, say) : undefined;
  if (options.json) printJson(host, { postgres: { applied, already }, topics, epoch });
  return 0;
}

async function migrateTopics(host: Host, settings: Settings, options: MigrateOptions, say: Say): Promise<TopicsResult> {
  const kafka = openKafka(settings, pino({ level: 'silent' }));
  const names = [...inputTopicsOf(settings), ...outputTopicsOf(settings)];
  const before = await describeTopics(kafka, names);
  const inputs = await createAll(host, kafka, inputSpecs(settings, options.partitions));
  const newInputs = [...inputs.keys()].some((name) => !before.has(name));
  const outputs = await createAll(host, kafka, outputSpecs(settings, options.partitions, inputs, newInputs));
  const topics = new Map([...inputs, ...outputs]);
  const created = names.filter((name) => !before.has(name));
  for (const name of created) say('ok', `Kafka: ${name} created${partitionsText(topics.get(name)?.partitions)}`);
  if (created.length === 0) say('ok', `Kafka: nothing to do, all ${names.length} topics are there`);
  const warnings = harmsOf(settings, topics);
  for (const { says, todo } of warnings) say('warning', `Kafka: ${says} To change it: ${todo}`);
  return { created, existing: names.filter((name) => before.has(name)), warnings };
}

/** Until all of them can be seen: a new topic is not known to every broker at once, nor are its partitions. */
async function createAll(host: Host, kafka: Kafka, specs: readonly TopicSpec[]): Promise<Map<string, TopicDescription>> {
  const { clock } = host;
  const deadlineMs = clock.now().monotonicMs + VISIBLE_WITHIN_MS;
  const names = specs.map(({ name }) => name);
  for (;;) {
    try {
      await createTopics(kafka, specs);
      const found = await describeTopics(kafka, names);
      if (names.every((name) => (found.get(name)?.partitions ?? 0) > 0 && found.get(name)?.cleanupPolicy !== '')) return found;
      if (clock.now().monotonicMs > deadlineMs) throw new StreamError('topic_missing', `Created but not to be seen: ${names.join(', ')}.`);
    } catch (error) {
      if (!PASSING.has(codeOf(error)) || clock.now().monotonicMs > deadlineMs) throw error;
    }
    await clock.sleep(LOOK_AGAIN_MS, host.stopping);
  }
}

const partitionsText = (count: number | undefined): string => {
  if (count === undefined) return '';
  return ` with ${count} partition${count === 1 ? '' : 's'}`;
};

function refuseUnconfirmed(settings: Settings): never {
  const partials = outputTopic(settings, 'partials');
  throw new StreamError(
    'bad_setting',
    `--new-epoch is for after ${partials} was recreated: versions begin anew, and whatever an older process still writes is refused. ` +
      'Stop all `run` processes first, then say it again with --confirm. With another number of partitions that alone is not enough: ' +
      `${REPARTITIONED}.`,
  );
}

async function raiseEpoch(settings: Settings, say: Say): Promise<number> {
  const pool = openPool(settings.env.DATABASE_URL, 1);
  try {
    const { rows } = await pool.query<{ epoch: number }>(
      'update exposure_stream.stream_epoch set epoch = epoch + 1 returning epoch::float8 as epoch',
    );
    say('ok', `The epoch is now ${rows[0].epoch}: start the processes again. With another number of partitions, first: ${REPARTITIONED}`);
    return rows[0].epoch;
  } catch (error) {
    throw namePostgresError(error, 'The epoch was not raised');
  } finally {
    await pool.end();
  }
}

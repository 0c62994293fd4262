/** `doctor`: every connection, topic, key and setting, all at once, each within its time; what is wrong and what to do. */
import type { Kafka } from 'kafkajs';
import { pino } from 'pino';
import type { Route } from '../alerts/routes.ts';
import type { Settings } from '../config.ts';
import { asError } from '../errors.ts';
import type { Clock } from '../topology/types.ts';
import { openKafka } from './connect.ts';
import { allTopics, checkKafka, kafkaTodo, type Topics } from './doctor-kafka.ts';
import { judgeKeys, SAMPLE_RECORDS } from './doctor-keys.ts';
import { checkPostgres } from './doctor-postgres.ts';
import { checkRedis } from './doctor-redis.ts';
import { exitCodeOf, type Finding, failedCheck, notInTime, placeOf, showFindings } from './doctor-report.ts';
import { checkState } from './doctor-state.ts';
import { type CommonOptions, type Host, routesOf, settingsOf } from './host.ts';
import { tailOf } from './kafka-tail.ts';

const WITHIN_MS = 5000;
const SAMPLE_WITHIN_MS = 2500;

/** Resolves with the exit code: 0 nothing wrong, 1 something outside is, 2 a setting is. */
export async function doctor(host: Host, options: CommonOptions): Promise<number> {
  const findings = await examine(host, options);
  showFindings(host, findings, options.json ?? false);
  return exitCodeOf(findings);
}

async function examine(host: Host, options: CommonOptions): Promise<Finding[]> {
  let settings: Settings;
  let kafka: Kafka;
  let routes: readonly Route[];
  try {
    settings = settingsOf(host, options);
    routes = routesOf(host, settings);
    kafka = openKafka(settings, pino({ level: 'silent' }));
  } catch (error) {
    return [
      failedCheck('settings', error, 'Nothing else was looked at. `exposure-stream config --example` shows every setting of the file.'),
    ];
  }
  const { CONFIG_FILE: file, REDIS_URL, DATABASE_URL } = settings.env;
  const sound: Finding = { name: 'settings', status: 'ok', says: `Sound (${file === undefined ? 'no CONFIG_FILE' : file}).` };
  const { clock } = host;
  const asking = within(clock, WITHIN_MS, allTopics(kafka, settings));
  const topics: Promise<Topics | null> = asking.catch(() => null);
  const checks: [string, string, Promise<Finding[]>][] = [
    ['kafka', kafkaTodo(settings), checkKafka(asking, settings)],
    ['redis', `Start Redis, or set REDIS_URL (now ${placeOf(REDIS_URL)}).`, within(clock, WITHIN_MS, checkRedis(settings))],
    [
      'postgres',
      `Start Postgres, or set DATABASE_URL (now ${placeOf(DATABASE_URL)}).`,
      within(clock, WITHIN_MS, checkPostgres(settings, clock)),
    ],
    ['state', 'Is STATE_DIR on a network disk that hangs?', within(clock, WITHIN_MS + 500, checkState(settings, topics))],
    ['keys', 'Ask again when Kafka is less busy.', checkKeys(kafka, settings, { topics, clock })],
  ];
  const found = await Promise.all(
    checks.map(([name, todo, check]) =>
      check.catch((error: unknown) => [
        error instanceof NotInTime ? notInTime(name, error.withinMs, todo) : failedCheck(name, error, todo),
      ]),
    ),
  );
  return [sound, alertFinding(routes), ...found.flat()];
}

/** Receivers are not asked: whatever they were sent would be taken for an alert. */
function alertFinding(routes: readonly Route[]): Finding {
  const names = routes.map(({ name, type }) => `${name} (${type})`).join(', ');
  const says =
    routes.length > 0 ? `Go to ${names}.` : 'Go to their topic, Postgres and the status page only: no alerts.routes in CONFIG_FILE.';
  return { name: 'alerts', status: 'ok', says };
}

/** Nothing to say where Kafka or the topic is not there: that is said already. */
async function checkKeys(kafka: Kafka, settings: Settings, after: { topics: Promise<Topics | null>; clock: Clock }): Promise<Finding[]> {
  const { topic, fields } = settings.streams.impressions;
  if (!(await after.topics)?.has(topic)) return [];
  try {
    return judgeKeys(topic, await within(after.clock, SAMPLE_WITHIN_MS, tailOf(kafka, topic, SAMPLE_RECORDS)), fields);
  } catch (error) {
    const says = `How ${topic} is keyed could not be looked at: ${asError(error).message}.`;
    return [{ name: 'keys', status: 'warning', says, todo: 'Allow this user to read the topic.' }];
  }
}

class NotInTime extends Error {
  readonly withinMs: number;

  constructor(withinMs: number) {
    super(`no answer within ${withinMs / 1000} s`);
    this.withinMs = withinMs;
  }
}

async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then((): never => {
    throw new NotInTime(ms);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}

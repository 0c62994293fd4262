/**
 * Every setting, declared once: environment, YAML, default, unit, meaning. The reference page is generated from here.
 * This file reads nothing by itself: the composition root hands it the environment and a way to read files.
 */
import { parse } from 'yaml';
import { z } from 'zod';
import { alertSettings, checkRoutes, type Route, routesOf } from './alerts/routes.ts';
import { StreamError } from './errors.ts';
import { PACING_SECTION } from './pacing-settings.ts';
import { reconcileSchema } from './reconcile-settings.ts';
import { checkTogether } from './setting-checks.ts';
import { expectedText, pathOf } from './setting-issues.ts';
import { srmSettings } from './srm/settings.ts';

const ms = (defaultMs: number, says: string) => z.number().int().positive().default(defaultMs).describe(says);
const minute = 60_000;
const hour = 3_600_000;
const day = 24 * hour;

const fields = z
  .record(z.string(), z.string().min(1))
  .default({})
  .describe('contract field → name in your JSON; a dotted name reaches into objects');
const stream = (topic: string) => z.strictObject({ topic: z.string().min(1).default(topic), fields }).prefault({});

/** The YAML file: everything with structure. Unknown keys are refused by name. */
const fileSchema = z.strictObject({
  streams: z
    .strictObject({ exposures: stream('exposures'), assignments: stream('assignments'), impressions: stream('impressions') })
    .prefault({})
    .describe('Input topics and the mapping of their fields.'),
  outputs: z.strictObject({ prefix: z.string().default('exposure-stream.').describe('Prefix of all output topics.') }).prefault({}),
  time: z
    .strictObject({
      windowMs: ms(minute, 'Tumbling window; must divide a quarter of an hour.'),
      allowedLatenessMs: ms(15 * minute, 'How long after its end a window still takes records, by the watermark.'),
      maxOutOfOrdernessMs: ms(30_000, 'The watermark follows the highest event time at this distance.'),
      maxFutureSkewMs: ms(5 * minute, 'An event time further than this ahead of the Kafka timestamp is invalid.'),
      dedupTtlMs: ms(day, 'How long after its bucket an event_id is remembered, by the watermark.'),
      dedupBucketMs: ms(hour, 'Width of a dedup bucket.'),
      unitTtlMs: ms(90 * day, 'An experiment without an accepted exposure for this long in a partition is forgotten there.'),
      idleAfterMs: ms(minute, 'A partition read to its end and silent for this long no longer holds the watermark back.'),
    })
    .prefault({}),
  pace: z
    .strictObject({
      emitMs: ms(200, 'Partials are sent this often.'),
      emitCatchingUpMs: ms(1000, 'The same while far behind.'),
      commitMs: ms(1000, 'State is committed this often.'),
      totalsFlushMs: ms(30_000, 'Hourly totals go to Postgres this often.'),
      rewriteMs: ms(45_000, 'Every live Redis key is rewritten within this time (contract: 60 s).'),
      registryMs: ms(2000, 'The registry is read this often.'),
    })
    .prefault({}),
  srm: srmSettings,
  pacing: PACING_SECTION,
  limits: z
    .strictObject({
      maxSpendMicros: z
        .number()
        .int()
        .positive()
        .max(Number.MAX_SAFE_INTEGER)
        .default(1e12)
        .describe('Largest spend_micros of one record.'),
      maxIds: z
        .number()
        .int()
        .positive()
        .default(2_000_000)
        .describe('Distinct ids of campaigns, experiments and variants in one partition.'),
      fetchBytes: z
        .number()
        .int()
        .min(65_536)
        .default(1_048_576)
        .describe(
          'Bytes of one fetch, of all partitions that a broker leads: those with more to give take turns. One is under way at a time: far from the broker, raise it.',
        ),
      evidenceMs: ms(8 * day, 'Hours older than this (by the watermark) get no more late and duplicate evidence.'),
      snapshotBytes: z
        .number()
        .int()
        .positive()
        .default(64 * 1024 ** 2)
        .describe('A log smaller than this is not replaced by a snapshot.'),
      snapshotRatio: z
        .number()
        .min(0)
        .default(2.5)
        .describe('A snapshot replaces a log that is larger than this many times the state’s memory.'),
      slotRetentionMs: ms(8 * day, 'How long after a day its spend is kept and rewritten.'),
    })
    .prefault({}),
  alerts: alertSettings,
  reconcile: reconcileSchema,
});

export type FileSettings = z.infer<typeof fileSchema>;
export type TimeSettings = FileSettings['time'];
export type PaceSettings = FileSettings['pace'];
export type PacingSettings = FileSettings['pacing'];
export type LimitSettings = FileSettings['limits'];
export type { SrmSettings } from './srm/settings.ts';

const flag = (initial: boolean) =>
  z
    .enum(['true', 'false', '1', '0', 'yes', 'no'])
    .transform((text) => text === 'true' || text === '1' || text === 'yes')
    .default(initial);

interface EnvSetting {
  schema: z.ZodType;
  says: string;
  /** Never shown; may come from a file named by `<NAME>_FILE`. */
  secret?: true;
}

/** The environment. */
export const ENVIRONMENT = {
  KAFKA_BROKERS: {
    schema: z
      .string()
      .regex(/^[^,\s:]+:\d+(,[^,\s:]+:\d+)*$/, 'a comma list of host:port')
      .default('localhost:9092'),
    says: 'Kafka brokers, a comma list of host:port.',
  },
  KAFKA_CLIENT_ID: { schema: z.string().min(1).default('exposure-stream'), says: 'Client id shown in the brokers’ logs and quotas.' },
  KAFKA_SSL: { schema: flag(false), says: 'TLS to Kafka.' },
  KAFKA_SSL_CA_FILE: { schema: z.string().optional(), says: 'PEM file with the authority that signed the brokers’ certificates.' },
  KAFKA_SSL_CERT_FILE: { schema: z.string().optional(), says: 'PEM file with the client’s certificate.' },
  KAFKA_SSL_KEY_FILE: { schema: z.string().optional(), says: 'PEM file with the client’s key.' },
  KAFKA_SASL_MECHANISM: { schema: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).optional(), says: 'SASL mechanism.' },
  KAFKA_SASL_USERNAME: { schema: z.string().optional(), says: 'SASL user.' },
  KAFKA_SASL_PASSWORD: { schema: z.string().optional(), says: 'SASL password.', secret: true },
  KAFKA_DECODER: {
    schema: z.enum(['in_place', 'kafkajs']).default('in_place'),
    says: 'How records are read out of a fetch: where they lie, or decoded by kafkajs (twice the cost; for when the first is in doubt).',
  },
  REDIS_URL: {
    schema: z
      .string()
      .regex(/^rediss?:\/\/[^\s]+$/, 'redis:// or rediss://, a comma list for a cluster')
      .default('redis://localhost:6379/0'),
    says: 'Redis; rediss:// for TLS; a comma list is a cluster.',
    secret: true,
  },
  REDIS_KEY_PREFIX: { schema: z.string().default(''), says: 'Put before every key.' },
  DATABASE_URL: {
    schema: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'postgres://user@host/database')
      .default('postgres://localhost:5432/postgres'),
    says: 'Postgres.',
    secret: true,
  },
  GROUP_ID: {
    schema: z.string().min(1).default('exposure-stream'),
    says: 'Consumer groups are <GROUP_ID>-ingest and <GROUP_ID>-evaluate.',
  },
  STATE_STORE: {
    schema: z.enum(['kafka', 'dir', 'memory']).default('kafka'),
    says: 'Where state is kept: `kafka` (the state topic: it goes where its partition goes), `dir` (a local folder) or `memory` (lost at the end; trials only).',
  },
  STATE_DIR: {
    schema: z.string().min(1).default('./state'),
    says: 'Folder of the state; one a process, or one shared by processes of one machine. With `kafka` a copy, so that a restart need not read the whole topic.',
  },
  STATE_HASH_SEED: {
    schema: z
      .string()
      .regex(/^[0-9a-fA-F]{16}$/, '16 hex digits')
      .optional(),
    says: 'Seed of the fingerprints, the same in all processes; drawn and kept with the state when unset.',
    secret: true,
  },
  STATE_MEMORY_BYTES: {
    schema: z.coerce
      .number()
      .int()
      .positive()
      .default(8 * 1024 ** 3),
    says: 'Memory for dedup state in this process; reaching it is a named stop, never an eviction.',
  },
  OUTPUT_UNIQUE: { schema: flag(false), says: 'Also copy every accepted record to `.unique`.' },
  HTTP_PORT: {
    schema: z.coerce.number().int().min(0).max(65_535).default(9464),
    says: 'Port of /metrics, /healthz, /readyz and the status API; 0 picks one.',
  },
  HTTP_HOST: { schema: z.string().default('0.0.0.0'), says: 'Address to listen on.' },
  LOG_LEVEL: {
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    says: 'Least level that is logged.',
  },
  CONFIG_FILE: { schema: z.string().optional(), says: 'YAML file with streams, times and limits; `config --example` prints one.' },
} as const satisfies Record<string, EnvSetting>;

export type EnvValues = { [Name in keyof typeof ENVIRONMENT]: z.infer<(typeof ENVIRONMENT)[Name]['schema']> };

/** All settings, checked. `env` keeps the names of the environment: one name everywhere. */
export interface Settings extends FileSettings {
  env: EnvValues;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param environment names as in ENVIRONMENT; an empty text counts as unset
 * @param readFile used for CONFIG_FILE and `<SECRET>_FILE`; throws when the file cannot be read
 * @throws StreamError bad_setting that names the setting, its value (not of a secret) and what was expected
 */
export function loadSettings(environment: Environment, readFile: (path: string) => string): Settings {
  const env: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(ENVIRONMENT) as [string, EnvSetting][]) {
    const given = environment[name] || (setting.secret ? secretFromFile(name, environment, readFile) : undefined);
    const result = setting.schema.safeParse(given);
    if (!result.success) {
      const shown = setting.secret ? '(hidden)' : JSON.stringify(given);
      throw new StreamError('bad_setting', `${name} is ${shown}: ${expectedText(result.error.issues)}. ${setting.says}`);
    }
    env[name] = result.data;
  }
  const values = env as EnvValues;
  const file = loadFile(values.CONFIG_FILE, readFile);
  checkTogether(values, file, new Map(OUTPUTS.map((name) => [outputTopic(file, name), name])));
  checkRoutes(file.alerts);
  return { env: values, ...file };
}

/**
 * Where alerts go, with the secrets that only who delivers them has. Never shown.
 * @throws StreamError bad_setting
 */
export const loadRoutes = ({ alerts }: Settings, environment: Environment, readFile: (path: string) => string): Route[] =>
  routesOf(alerts, (name) => environment[name] || secretFromFile(name, environment, readFile));

function secretFromFile(name: string, environment: Environment, readFile: (path: string) => string): string | undefined {
  const path = environment[`${name}_FILE`];
  if (!path) return undefined;
  try {
    return readFile(path).trim();
  } catch (cause) {
    throw new StreamError('bad_setting', `${name}_FILE is ${JSON.stringify(path)}: the file cannot be read`, { cause });
  }
}

function loadFile(path: string | undefined, readFile: (path: string) => string): FileSettings {
  let content: unknown = {};
  if (path !== undefined) {
    try {
      content = parse(readFile(path)) ?? {};
    } catch (cause) {
      throw new StreamError('bad_setting', `CONFIG_FILE is ${JSON.stringify(path)}: ${cause instanceof Error ? cause.message : cause}`, {
        cause,
      });
    }
  }
  const result = fileSchema.safeParse(content);
  if (!result.success) {
    const [issue] = result.error.issues;
    const at = pathOf(issue);
    const shown = JSON.stringify(valueAt(content, at));
    throw new StreamError('bad_setting', `${path}: ${at.join('.') || 'the file'} is ${shown}: ${expectedText([issue])}`);
  }
  return result.data;
}

const valueAt = (root: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined),
    root,
  );

/** Names of the output topics. */
const OUTPUTS = ['partials', 'state', 'unique', 'duplicates', 'late', 'invalid', 'violations', 'alerts'] as const;
export type OutputName = (typeof OUTPUTS)[number];

export const outputTopic = (settings: Pick<FileSettings, 'outputs'>, name: OutputName): string => settings.outputs.prefix + name;

/** The YAML schema, for `config --example` and the reference page. */
export const FILE_SCHEMA = fileSchema;

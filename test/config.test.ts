import { describe, expect, test } from 'vitest';
import { ENVIRONMENT, loadSettings } from '../src/config.ts';

const files: Record<string, string> = { '/secret': ' from the file \n', '/url': 'rediss://u:p@host:6380/1\n', '/empty': '' };
const read = (path: string): string => {
  if (path in files) return files[path];
  throw new Error(`ENOENT ${path}`);
};
const load = (environment: Record<string, string>, yaml?: string) =>
  loadSettings(yaml === undefined ? environment : { ...environment, CONFIG_FILE: '/yaml' }, (path) =>
    path === '/yaml' ? (yaml ?? '') : read(path),
  );

/** What is said of a wrong setting; the error's code is held against the table. */
const complaint = (environment: Record<string, string>, yaml?: string): string => {
  try {
    load(environment, yaml);
  } catch (error) {
    expect(error).toMatchObject({ code: 'bad_setting', action: 'exit_2' });
    return (error as Error).message;
  }
  throw new Error('nothing was wrong with it');
};

test('without anything set, everything has the default of the contract', () => {
  const { env, time, streams, outputs } = load({});
  expect(env).toMatchObject({
    KAFKA_BROKERS: 'localhost:9092',
    GROUP_ID: 'exposure-stream',
    STATE_STORE: 'kafka',
    STATE_DIR: './state',
    HTTP_PORT: 9464,
    OUTPUT_UNIQUE: false,
  });
  expect(time).toMatchObject({
    windowMs: 60_000,
    allowedLatenessMs: 900_000,
    maxOutOfOrdernessMs: 30_000,
    maxFutureSkewMs: 300_000,
    dedupTtlMs: 86_400_000,
  });
  expect([Object.values(streams).map(({ topic }) => topic), outputs.prefix]).toEqual([
    ['exposures', 'assignments', 'impressions'],
    'exposure-stream.',
  ]);
  expect(load({ HTTP_PORT: '', CONFIG_FILE: '' })).toEqual(load({}));
  expect(load({}, '')).toMatchObject({ time });
});

describe('a wrong setting is named with its value and what was expected', () => {
  test.each([
    ['KAFKA_BROKERS', 'nobody', 'comma list of host:port'],
    ['KAFKA_BROKERS', 'a:1,', 'comma list of host:port'],
    ['KAFKA_SSL', 'maybe', 'one of 0, 1, true, false'],
    ['KAFKA_SASL_MECHANISM', 'gssapi', 'one of plain'],
    ['STATE_STORE', 'redis', 'one of'],
    ['STATE_MEMORY_BYTES', 'lots', 'a number'],
    ['STATE_MEMORY_BYTES', '0', 'above 0'],
    ['STATE_MEMORY_BYTES', '1.5', 'a whole number'],
    ['OUTPUT_UNIQUE', 'on', 'one of 0, 1, true, false'],
    ['HTTP_PORT', '65536', 'at most 65535'],
    ['HTTP_PORT', '-1', 'at least 0'],
    ['LOG_LEVEL', 'loud', 'one of trace'],
  ])('%s=%s', (name, value, expected) => {
    const says = complaint({ [name]: value });
    expect(says).toContain(`${name} is ${JSON.stringify(value)}`);
    expect(says).toContain(expected);
    expect(says).toContain(ENVIRONMENT[name as keyof typeof ENVIRONMENT].says);
  });

  test.each([
    ['time: {windowMs: 0}', 'time.windowMs is 0', 'above 0'],
    ['time: {windowMs: 1.5}', 'time.windowMs is 1.5', 'a whole number'],
    ['time: {windowMs: 7000}', 'time.windowMs is 7000', 'a divisor of 900000'],
    ['time: {windwMs: 60000}', 'time.windwMs is 60000', 'no such setting'],
    ['tme: {}', 'tme is {}', 'no such setting'],
    ['time: {dedupTtlMs: 60000}', 'time.dedupTtlMs is 60000', 'at least time.allowedLatenessMs'],
    ['time: {dedupBucketMs: 60000}', 'time.dedupTtlMs is 86400000', 'at most 56 buckets'],
    ['limits: {maxSpendMicros: 1e16}', 'limits.maxSpendMicros is 10000000000000000', 'expected'],
    ['limits: {fetchBytes: 1}', 'limits.fetchBytes is 1', 'at least 65536'],
    ['streams: {impressions: {topic: exposures}}', 'streams.*.topic is exposures, assignments, exposures', 'three different topics'],
    [
      'streams: {exposures: {topic: exposure-stream.unique}}',
      'streams.exposures.topic is exposure-stream.unique',
      'another topic than the output',
    ],
    ['{outputs: {prefix: ""}, streams: {impressions: {topic: late}}}', 'streams.impressions.topic is late', 'the output .late'],
    [
      'time: {allowedLatenessMs: 864000000, dedupTtlMs: 864000000, dedupBucketMs: 86400000}',
      'limits.slotRetentionMs is 691200000',
      'allowedLatenessMs',
    ],
    ['limits: {evidenceMs: 864000000}', 'limits.slotRetentionMs is 691200000', 'more than limits.evidenceMs (864000000)'],
    ['limits: {slotRetentionMs: 518400000}', 'limits.slotRetentionMs is 518400000', 'more than limits.evidenceMs (691200000)'],
    ['streams: {impressions: {topic: ""}}', 'streams.impressions.topic is ""', 'not empty'],
    ['streams: {impressions: {fields: {campain_id: c}}}', 'streams.impressions.fields', 'no field campain_id'],
    ['streams: {impressions: {fields: {campaign_id: a..b}}}', 'streams.impressions.fields', 'empty step'],
    ['[1]', 'the file is [1]', 'a mapping'],
  ])('%s', (yaml, named, expected) => {
    const says = complaint({}, yaml);
    expect(says).toContain(named);
    expect(says).toContain(expected);
  });

  test('a file that is missing or no YAML is named', () => {
    expect(complaint({ CONFIG_FILE: '/nowhere' })).toMatch(/^CONFIG_FILE is "\/nowhere": ENOENT/);
    expect(complaint({}, 'a: [')).toMatch(/^CONFIG_FILE is "\/yaml": /);
  });

  test('settings that do not go together are named', () => {
    expect(complaint({ KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u' })).toContain('KAFKA_SASL_PASSWORD');
    expect(complaint({ KAFKA_SSL_CERT_FILE: '/c' })).toContain('KAFKA_SSL_KEY_FILE');
  });
});

describe('a secret', () => {
  const secrets = Object.entries(ENVIRONMENT).filter(([, setting]) => 'secret' in setting);

  test('is every setting that holds a password or a seed', () => {
    expect(secrets.map(([name]) => name)).toEqual(['KAFKA_SASL_PASSWORD', 'REDIS_URL', 'DATABASE_URL', 'STATE_HASH_SEED']);
  });

  test.each(['REDIS_URL', 'DATABASE_URL', 'STATE_HASH_SEED'])('is never shown: %s', (name) => {
    const says = complaint({ [name]: 'hunter2' });
    expect(says).toContain(`${name} is (hidden)`);
    expect(says).not.toContain('hunter2');
  });

  test('may come from a file, trimmed; the environment itself goes first; a file that is missing is named', () => {
    const sasl = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD_FILE: '/secret' };
    expect(load(sasl).env.KAFKA_SASL_PASSWORD).toBe('from the file');
    expect(load({ REDIS_URL_FILE: '/url' }).env.REDIS_URL).toBe('rediss://u:p@host:6380/1');
    expect(load({ REDIS_URL_FILE: '/url', REDIS_URL: 'redis://here' }).env.REDIS_URL).toBe('redis://here');
    expect(complaint({ REDIS_URL_FILE: '/nowhere' })).toBe('REDIS_URL_FILE is "/nowhere": the file cannot be read');
  });
});

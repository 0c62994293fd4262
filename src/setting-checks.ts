/** Settings that are each in order, but not together. */
import type { EnvValues, FileSettings, OutputName } from './config.ts';
import { StreamError } from './errors.ts';
import { mappingProblems } from './operators/field-mapping.ts';
import { STREAMS } from './topology/types.ts';

const QUARTER_MS = 15 * 60_000;
/** Evaluate holds slots this much longer than `slotRetentionMs`. */
const SLOT_SLACK_MS = 2 * 86_400_000;

/**
 * @param outputs names of the output topics by topic
 * @throws StreamError bad_setting
 */
export function checkTogether(env: EnvValues, file: FileSettings, outputs: ReadonlyMap<string, OutputName>): void {
  checkTimes(file);
  checkTopics(file, outputs);
  if (env.KAFKA_SASL_MECHANISM && (!env.KAFKA_SASL_USERNAME || !env.KAFKA_SASL_PASSWORD)) {
    throw wrong('KAFKA_SASL_MECHANISM is set: expected KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE) too');
  }
  if (Boolean(env.KAFKA_SSL_CERT_FILE) !== Boolean(env.KAFKA_SSL_KEY_FILE)) {
    throw wrong('KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE: expected both or neither');
  }
  for (const stream of STREAMS) {
    const [problem] = mappingProblems(stream, file.streams[stream].fields);
    if (problem !== undefined) throw wrong(`streams.${stream}.fields: ${problem}`);
  }
}

function checkTimes({ time, limits }: FileSettings): void {
  if (QUARTER_MS % time.windowMs !== 0) {
    throw wrong(
      `time.windowMs is ${time.windowMs}: expected a divisor of ${QUARTER_MS} (a quarter of an hour), since days of all zones are sums of quarter hours`,
    );
  }
  if (time.dedupTtlMs / time.dedupBucketMs > 56) {
    throw wrong(`time.dedupTtlMs is ${time.dedupTtlMs}: expected at most 56 buckets of time.dedupBucketMs (${time.dedupBucketMs})`);
  }
  if (time.dedupTtlMs < time.allowedLatenessMs) {
    throw wrong(
      `time.dedupTtlMs is ${time.dedupTtlMs}: expected at least time.allowedLatenessMs (${time.allowedLatenessMs}), else a duplicate in time would be counted twice`,
    );
  }
  const heldMs = limits.slotRetentionMs + SLOT_SLACK_MS;
  for (const [name, takenMs] of [
    ['time.allowedLatenessMs', time.allowedLatenessMs],
    ['limits.evidenceMs', limits.evidenceMs],
  ] as const) {
    if (heldMs > takenMs) continue;
    throw wrong(
      `limits.slotRetentionMs is ${limits.slotRetentionMs}: expected more than ${name} (${takenMs}) less two days, else what ingest still counts would find its day forgotten`,
    );
  }
}

function checkTopics(file: FileSettings, outputs: ReadonlyMap<string, OutputName>): void {
  const topics = STREAMS.map((stream) => file.streams[stream].topic);
  if (new Set(topics).size !== topics.length) {
    throw wrong(`streams.*.topic is ${topics.join(', ')}: expected three different topics`);
  }
  for (const stream of STREAMS) {
    const { topic } = file.streams[stream];
    const output = outputs.get(topic);
    if (output === undefined) continue;
    throw wrong(
      `streams.${stream}.topic is ${topic}: expected another topic than the output .${output}, which would be read again for ever`,
    );
  }
}

const wrong = (says: string): StreamError => new StreamError('bad_setting', says);

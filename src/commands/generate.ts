/** `generate`: seeded traffic with known truth, to a file or to Kafka. */
import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { Settings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { generateTraffic, type SourceRecord, type Truth, truthPathOf, writeNdjson } from '../generate/index.ts';
import type { Stream } from '../topology/types.ts';
import { produceTraffic } from './generate-kafka.ts';
import { type GenerateOptions, refuseWrongOptions, trafficOf } from './generate-options.ts';
import { type Host, printJson, settingsOf } from './host.ts';
import { grouped, Progress } from './progress.ts';

export type { GenerateOptions } from './generate-options.ts';

/** Resolves with the exit code: 1 when stopped before the end. */
export async function generateCommand(host: Host, options: GenerateOptions): Promise<number> {
  refuseWrongOptions(options);
  const settings = settingsOf(host, options);
  const startedMs = host.clock.now().monotonicMs;
  const { out } = options;
  const { records, truth } =
    out === undefined ? await produceTraffic(host, settings, options) : await writeTraffic(host, settings, { ...options, out });
  const truthPath = options.truth ?? (out === undefined ? undefined : truthPathOf(out));
  const written = truth !== null && truthPath !== undefined ? truthPath : null;
  if (truth !== null && written !== null) await writeTruth(written, truth);
  const seconds = (host.clock.now().monotonicMs - startedMs) / 1000;
  const rate = Math.round(records / Math.max(0.001, seconds));
  const place = out ?? settings.env.KAFKA_BROKERS;
  if (options.json) printJson(host, { records, to: place, truth: written, seconds, records_per_second: rate });
  else
    host.out.write(
      `${grouped(records)} records to ${place} in ${seconds.toFixed(1)} s, ${grouped(rate)} a second\n${written === null ? '' : `The truth is in ${written}\n`}`,
    );
  if (truth !== null || options.forever) return 0;
  host.err.write('Stopped before the end: there is no truth of this traffic.\n');
  return 1;
}

async function writeTraffic(
  host: Host,
  settings: Settings,
  options: GenerateOptions & { out: string },
): Promise<{ records: number; truth: Truth | null }> {
  const traffic = generateTraffic(trafficOf(options, settings));
  const progress = new Progress(host, { what: 'records', total: traffic.total });
  let made = 0;
  function* records(): Generator<SourceRecord> {
    for (const record of traffic) {
      if (host.stopping.aborted) return;
      if ((++made & 1023) === 0) progress.at(made);
      yield { ...record, topic: settings.streams[record.topic].topic as Stream };
    }
  }
  const file = createWriteStream(options.out);
  const failed = finished(file);
  failed.catch(() => undefined);
  try {
    await Promise.race([writeNdjson(records(), file), failed]);
    file.end();
    await failed;
  } catch (cause) {
    throw cannotWrite(options.out, cause);
  }
  progress.end(made);
  return { records: made, truth: made === traffic.total ? traffic.truth() : null };
}

const writeTruth = (path: string, truth: Truth): Promise<void> =>
  writeFile(path, `${JSON.stringify(truth)}\n`).catch((cause: unknown) => {
    throw cannotWrite(path, cause);
  });

const cannotWrite = (path: string, cause: unknown): unknown =>
  cause instanceof StreamError
    ? cause
    : new StreamError('bad_setting', `${path} cannot be written: ${(cause as Error).message}`, { cause });

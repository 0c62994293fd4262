/** `replay FILE`: the file's records through the same topology, in this process; prints what was counted. */

import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asError } from '../errors.ts';
import { type Summary, summarise } from '../summary.ts';
import { FileSource } from '../topology/sources/file-source.ts';
import type { OutRecord } from '../topology/types.ts';
import { inputTopics } from './connect.ts';
import { type CommonOptions, type Host, loggerOf, printJson, settingsOf } from './host.ts';
import { makeLocal } from './local.ts';
import { printSummary } from './print-summary.ts';
import { countedUntilEnd } from './until-end.ts';

export interface ReplayOptions extends CommonOptions {
  partitions: number;
  out?: string;
}

/** Resolves with the exit code. */
export async function replay(host: Host, file: string, options: ReplayOptions): Promise<number> {
  const settings = settingsOf(host, options);
  const log = loggerOf(host, settings);
  const { clock } = host;
  const failure = new AbortController();
  const fatal = (error: Error) => failure.abort(error);
  const source = new FileSource(file, { topics: inputTopics(settings), partitions: options.partitions, clock });
  const side = options.out === undefined ? null : await SideFiles.open(options.out);
  const { STATE_MEMORY_BYTES: stateMemoryBytes, OUTPUT_UNIQUE: outputUnique } = settings.env;
  const { pipeline } = makeLocal({
    settings,
    clock,
    source,
    stateMemoryBytes,
    outputUnique,
    side: (records) => side?.write(records),
    fatal,
  });
  const startedMs = clock.now().monotonicMs;
  const stopping = AbortSignal.any([host.stopping, failure.signal]);
  await pipeline.start();
  const ends = new Map<string, number>();
  void source.onExhausted.then(async () => {
    for (const task of pipeline.ingestTasks)
      ends.set(`${task.id.topic}/${task.id.partition}`, (await pipeline.feedOf(task)?.bounds())?.end ?? 0);
  });
  const endOf = ({ id }: { id: { topic: string; partition: number } }) => ends.get(`${id.topic}/${id.partition}`) ?? null;
  const done = await countedUntilEnd({ pipeline, clock, stopping, endOf });
  const seconds = (clock.now().monotonicMs - startedMs) / 1000;
  const summary: Summary = summarise(pipeline.ingestTasks, pipeline.evaluateTasks);
  await pipeline.stop();
  await side?.close();
  if (failure.signal.aborted) throw asError(failure.signal.reason);
  if (!done) {
    log.warn('stopped before the end of the file; nothing is printed');
    return 1;
  }
  if (options.json) printJson(host, { ...summary, timing: { seconds, records_per_second: Math.round(recordsOf(summary) / seconds) } });
  else printSummary(host, summary, seconds);
  return 0;
}

export const recordsOf = (summary: Summary): number =>
  Object.values(summary.streams).reduce(
    (sum, { records }) => sum + records.accepted + records.duplicate + records.late + records.invalid,
    0,
  );

/** Side outputs as NDJSON, a file a topic; a line is what `replay` reads, with the headers. */
class SideFiles {
  readonly #folder: string;
  readonly #files = new Map<string, WriteStream>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<SideFiles> {
    await mkdir(folder, { recursive: true });
    return new SideFiles(folder);
  }

  async write(records: readonly OutRecord[]): Promise<void> {
    for (const { topic, key, value, headers } of records) {
      const line = {
        topic,
        key: key === null ? null : Buffer.from(key).toString(),
        value_base64: value === null ? null : Buffer.from(value).toString('base64'),
        headers,
      };
      const file = this.#file(topic);
      if (!file.write(`${JSON.stringify(line)}\n`)) await once(file, 'drain');
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => new Promise((resolve) => file.end(resolve))));
  }

  #file(topic: string): WriteStream {
    const file = this.#files.get(topic) ?? createWriteStream(join(this.#folder, `${encodeURIComponent(topic)}.ndjson`));
    this.#files.set(topic, file);
    return file;
  }
}

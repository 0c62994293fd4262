/** Traffic as lines that `exposure-stream replay` reads. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { SourceRecord } from './stream.ts';

const CHUNK_CHARACTERS = 65_536;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One record as a line. A value that is no plain JSON object goes in base64, so that its bytes stay as they are. */
export const ndjsonLine = (record: SourceRecord): string => {
  const head = `{"topic":"${record.topic}","partition":${record.partition},"timestamp":${record.timestampMs},"key":${
    record.key === null ? 'null' : JSON.stringify(decoder.decode(record.key))
  }`;
  if (record.value === null) return `${head},"value":null}\n`;
  if (record.plain) return `${head},"value":${decoder.decode(record.value)}}\n`;
  return `${head},"value_base64":"${Buffer.from(record.value).toString('base64')}"}\n`;
};

/** Writes every record, waits where the stream asks for it, and does not end the stream. Resolves with the number of lines. */
export const writeNdjson = async (records: Iterable<SourceRecord>, out: Writable): Promise<number> => {
  let chunk = '';
  let lines = 0;
  for (const record of records) {
    chunk += ndjsonLine(record);
    lines++;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    if (!out.write(chunk)) await once(out, 'drain');
    chunk = '';
  }
  if (chunk !== '' && !out.write(chunk)) await once(out, 'drain');
  return lines;
};

/** Where the truth of a file of traffic is written. */
export const truthPathOf = (file: string): string => `${file}.truth.json`;

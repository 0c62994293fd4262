/** Reads every side output to its end and holds each copy against its source record and the oracle's verdict. */
import { crc32 } from 'node:zlib';
import type { EachBatchPayload, KafkaMessage } from 'kafkajs';
import { REASON_TEXTS } from '../../src/operators/decode.ts';
import type { Oracle, PartitionTruth, Verdict } from '../oracle/oracle.ts';
import { uniqueName } from '../services/names.ts';
import type { Bed } from './bed.ts';
import type { PlacedRecord } from './kafka.ts';
import { until } from './until.ts';

/** A suspected duplicate is a copy in `.duplicates` with a header; it is counted for itself. */
export const SIDE_OUTPUTS = ['unique', 'duplicates', 'suspected', 'late', 'invalid', 'violations'] as const;
export type SideOutput = (typeof SIDE_OUTPUTS)[number];

const BELONGS: Record<SideOutput, (verdict: Verdict) => boolean> = {
  unique: ({ disposition }) => disposition === 'accepted',
  duplicates: ({ disposition }) => disposition === 'duplicate',
  suspected: ({ suspected }) => suspected,
  late: ({ disposition }) => disposition === 'late',
  invalid: ({ disposition }) => disposition === 'invalid',
  violations: ({ violation }) => violation,
};
const REASONS: Partial<Record<SideOutput, string>> = {
  duplicates: 'duplicate_event_id',
  suspected: 'suspected_duplicate',
  late: 'window_closed',
  violations: 'variant_changed',
};
const isReason = (output: SideOutput, reason: string | undefined): boolean =>
  output === 'invalid' ? Object.hasOwn(REASON_TEXTS, reason ?? '') : reason === REASONS[output];

/** One number for key and value, by source partition and offset. */
export class Fingerprints {
  readonly #of = new Map<string, number[]>();

  /** Of the next record of its partition. */
  add(record: PlacedRecord): number {
    const name = `${record.topic}/${record.partition}`;
    const known = this.#of.get(name) ?? [];
    this.#of.set(name, known);
    known.push(fingerprint(record.key, record.value));
    return known[known.length - 1];
  }

  at(name: string, offset: number): number | undefined {
    return this.#of.get(name)?.[offset];
  }
}

const bytesOf = (bytes: Uint8Array | null): number => (bytes === null ? 1 : crc32(bytes));
const fingerprint = (key: Uint8Array | null, value: Uint8Array | null): number => bytesOf(key) * 2 ** 20 + (bytesOf(value) % 2 ** 20);

export interface SideReport {
  /** By output: distinct sources seen, and how many there must be. */
  seen: Record<SideOutput, number>;
  expected: Record<SideOutput, number>;
  /** Copies of the same source in the same output beyond the first: allowed after a crash. */
  repeats: number;
  faults: string[];
}

export class SideJudge {
  readonly #oracle: Oracle;
  readonly #sources: Fingerprints;
  readonly #bed: Bed;
  /** `output source-stream/partition` → by offset, whether it was seen. */
  readonly #marks = new Map<string, Uint8Array>();
  readonly #faults: string[] = [];
  #repeats = 0;

  constructor(bed: Bed, oracle: Oracle, sources: Fingerprints) {
    this.#bed = bed;
    this.#oracle = oracle;
    this.#sources = sources;
  }

  /** Everything that lies in the topics now. */
  async read(): Promise<SideReport> {
    const names = ['unique', 'duplicates', 'late', 'invalid', 'violations'];
    const outputs = new Map(names.map((name) => [this.#bed.output(name), name as SideOutput]));
    await readAll(this.#bed, [...outputs.keys()], (topic, message) => this.#take(outputs.get(topic)!, message));
    return this.#report();
  }

  #take(topic: SideOutput, { key, value, headers = {} }: KafkaMessage): void {
    const header = (name: string): string | undefined => headers[name]?.toString();
    const output = topic === 'duplicates' && header('suspected') === 'true' ? 'suspected' : topic;
    const stream = this.#bed.streamOf(header('source_topic') ?? '');
    const source = `${stream}/${header('source_partition')}`;
    const offset = Number(header('source_offset'));
    const verdict = this.#oracle.partitions.get(source)?.verdicts[offset];
    const where = `${output} ${source}/${offset}`;
    if (verdict === undefined) {
      this.#fault(`${where}: there is no such source`);
      return;
    }
    if (!BELONGS[output](verdict)) this.#fault(`${where}: does not belong there, it is ${verdict.disposition}`);
    if (!isReason(output, header('reason'))) this.#fault(`${where}: reason ${header('reason')}`);
    if (output === 'late' && header('watermark_ms') !== String(verdict.watermarkMs))
      this.#fault(`${where}: watermark_ms ${header('watermark_ms')} instead of ${verdict.watermarkMs}`);
    if (header('truncated') === undefined && fingerprint(key, value) !== this.#sources.at(source, offset))
      this.#fault(`${where}: key or value is not the source's`);
    this.#mark(output, source, offset);
  }

  #mark(output: SideOutput, source: string, offset: number): void {
    const name = `${output} ${source}`;
    const marks = this.#marks.get(name) ?? new Uint8Array(this.#oracle.partitions.get(source)!.verdicts.length);
    this.#marks.set(name, marks);
    this.#repeats += marks[offset];
    marks[offset] = 1;
  }

  #report(): SideReport {
    const seen = {} as SideReport['seen'];
    const expected = {} as SideReport['expected'];
    for (const output of SIDE_OUTPUTS) {
      [seen[output], expected[output]] = [0, 0];
      for (const [source, partition] of this.#oracle.partitions) this.#compare(output, source, partition, { seen, expected });
    }
    return { seen, expected, repeats: this.#repeats, faults: this.#faults };
  }

  #compare(output: SideOutput, source: string, { verdicts }: PartitionTruth, { seen, expected }: Pick<SideReport, 'seen' | 'expected'>) {
    const marks = this.#marks.get(`${output} ${source}`);
    let missing = 0;
    verdicts.forEach((verdict, offset) => {
      const isSeen = marks?.[offset] === 1;
      seen[output] += isSeen ? 1 : 0;
      if (!BELONGS[output](verdict)) return;
      expected[output]++;
      if (!isSeen && missing++ === 0) this.#fault(`${output} ${source}/${offset}: missing`);
    });
    if (missing > 1) this.#fault(`${output} ${source}: ${missing} are missing`);
  }

  #fault(line: string): void {
    this.#faults.push(line);
  }
}

/** Every record there is in the topics at this moment, in order within a partition. */
export async function readAll(bed: Bed, topics: readonly string[], take: (topic: string, message: KafkaMessage) => void): Promise<void> {
  const missing = await endsOf(bed, topics);
  if (missing.size === 0) return;
  const consumer = bed.kafka.consumer({ groupId: uniqueName(`${bed.name}-judge`), maxBytesPerPartition: 4 << 20 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    const eachBatch = async ({ batch }: EachBatchPayload): Promise<void> => {
      for (const message of batch.messages) take(batch.topic, message);
      const name = `${batch.topic}/${batch.partition}`;
      if (Number(batch.lastOffset()) + 1 >= (missing.get(name) ?? 0)) missing.delete(name);
    };
    await consumer.run({ eachBatch, autoCommit: false });
    await until(`the judge has read ${topics.join(', ')}`, () => missing.size === 0, 120_000);
  } finally {
    await consumer.disconnect();
  }
}

/** The end of every partition that holds records. */
async function endsOf(bed: Bed, topics: readonly string[]): Promise<Map<string, number>> {
  const ends = new Map<string, number>();
  await bed.withAdmin(async (admin) => {
    for (const topic of topics) {
      for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
        if (Number(high) > Number(low)) ends.set(`${topic}/${partition}`, Number(high));
      }
    }
  });
  return ends;
}

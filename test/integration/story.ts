/** A small stream on real services, told step by step: send some, look, restart, send the rest. */
import { rm } from 'node:fs/promises';
import { generateTraffic, type TrafficSettings } from '../../src/generate/index.ts';
import { Bed, type BedOptions, type ServiceUrls } from '../e2e/bed.ts';
import type { PlacedRecord } from '../e2e/kafka.ts';
import { Looks } from '../e2e/looks.ts';
import { differences, type Expected, expectedOf } from '../e2e/truth.ts';
import { until } from '../e2e/until.ts';
import { recordsTotal, type Worker } from '../e2e/worker.ts';

const TRAFFIC = { impressions: 2500, exposures: 1200, assignments: 300, partitions: 2, idlePartitions: 0, contaminatedShare: 0.05 };
/** Everything that has a rhythm, quicker. */
const PACE = { commitMs: 200, totalsFlushMs: 500, rewriteMs: 1000, registryMs: 500 };

export class Story {
  readonly bed: Bed;
  readonly expected: Expected;
  readonly looks: Looks;
  readonly #records: PlacedRecord[];

  private constructor(bed: Bed, expected: Expected, records: PlacedRecord[]) {
    this.bed = bed;
    this.expected = expected;
    this.#records = records;
    this.looks = new Looks(bed.services.redisUrl, bed.keyPrefix, expected.amounts);
  }

  static async begin(services: ServiceUrls, seed: number, options: Partial<BedOptions> = {}): Promise<Story> {
    const traffic: Partial<TrafficSettings> = { ...TRAFFIC, seed };
    const expected = expectedOf(traffic);
    if (expected.disagreements.length > 0) throw new Error(expected.disagreements.join('\n'));
    const bed = await Bed.open(services, { partitions: TRAFFIC.partitions, settings: { pace: PACE }, ...options });
    return new Story(bed, expected, [...generateTraffic(traffic)]);
  }

  /** The traffic from one share of it to another. */
  async send(from: number, to: number): Promise<void> {
    const [first, last] = [from, to].map((share) => Math.floor(share * this.#records.length));
    await (await this.bed.producer()).send(this.#records.slice(first, last), 'zstd');
  }

  /** Every value in Redis is the truth, and every record is counted in the metrics. */
  async counted(...workers: Worker[]): Promise<void> {
    await until('every value in Redis is the truth', async () => (await this.looks.wrong()).length === 0, 40_000);
    await until('records_total is the truth', async () => {
      return differences('records_total', await recordsTotal(workers), this.expected.records).length === 0;
    });
  }

  /** Records judged and committed so far. */
  async judged(...workers: Worker[]): Promise<number> {
    return [...(await recordsTotal(workers)).values()].reduce((sum, records) => sum + records, 0);
  }

  async allJudged(count: number, ...workers: Worker[]): Promise<void> {
    await until(`${count} records are judged`, async () => {
      await this.looks.look();
      return (await this.judged(...workers)) === count;
    });
  }

  share(to: number): number {
    return Math.floor(to * this.#records.length);
  }

  /** Sum of the group's committed offsets of a topic. */
  committed(stage: 'ingest' | 'evaluate', topic: string): Promise<number> {
    return this.bed.withAdmin(async (admin) => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId: `${this.bed.name}-${stage}`, topics: [topic] });
      return partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
    });
  }

  /** Resolves when so many more records have come to a topic. */
  async grown(topic: string, records: number): Promise<void> {
    const end = (): Promise<number> =>
      this.bed.withAdmin(async (admin) => (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0));
    const began = await end();
    await until(`${records} more records in ${topic}`, async () => (await end()) >= began + records);
  }

  async loseState(name: string): Promise<void> {
    await rm(this.bed.stateDir(name), { recursive: true });
  }

  async end(): Promise<void> {
    this.looks.close();
    await this.bed.close();
  }
}

export interface LogLine {
  level: number;
  time: string;
  msg: string;
  code?: string;
  position?: number;
  stage?: string;
  topic?: string;
}

/** Throws where a line is not JSON. */
export const logLines = (log: string): LogLine[] =>
  log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);

/** The last error that was logged. */
export const lastError = (worker: Worker): LogLine | undefined => logLines(worker.log).findLast(({ level }) => level >= 50);

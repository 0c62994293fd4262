/** Topics, a database, Redis keys and processes of one deployment that no other test knows of. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Admin, Kafka } from 'kafkajs';
import { STREAMS, type Stream } from '../../src/topology/types.ts';
import type { TestServices } from '../services/index.ts';
import { Keeper } from '../services/keeper.ts';
import { freshDatabase, uniqueName } from '../services/names.ts';
import { HOST, run } from '../services/tools.ts';
import { ExactProducer, openKafka } from './kafka.ts';
import { MAIN, Worker } from './worker.ts';

export type ServiceUrls = Pick<TestServices, 'kafkaBrokers' | 'redisUrl' | 'databaseUrl'>;

export interface BedOptions {
  partitions: number;
  /** Sections of the YAML file beside `streams` and `outputs`. */
  settings?: Record<string, Record<string, unknown>>;
}

/** For ever: event times of a test are its own. A record may be larger than a MiB. */
const INPUT_SETTINGS = { 'retention.ms': '-1', 'max.message.bytes': String(4 << 20) };

export class Bed {
  readonly name = uniqueName('bed');
  readonly services: ServiceUrls;
  readonly kafka: Kafka;
  readonly keeper = new Keeper();
  readonly keyPrefix = `${this.name}:`;
  readonly #workers: Worker[] = [];
  readonly #configFile = join(this.keeper.folder, 'config.yaml');
  #producer: ExactProducer | null = null;

  private constructor(services: ServiceUrls) {
    this.services = services;
    this.kafka = openKafka(services.kafkaBrokers);
  }

  /** Creates the inputs (timestamps are the producer's), then lets `migrate --topics` do the rest. */
  static async open(services: ServiceUrls, { partitions, settings = {} }: BedOptions): Promise<Bed> {
    const bed = new Bed({ ...services, databaseUrl: await freshDatabase(services.databaseUrl) });
    const streams = Object.fromEntries(STREAMS.map((stream) => [stream, { topic: bed.topic(stream) }]));
    // JSON is YAML.
    writeFileSync(bed.#configFile, JSON.stringify({ streams, outputs: { prefix: `${bed.name}.out.` }, ...settings }));
    const configEntries = Object.entries(INPUT_SETTINGS).map(([name, value]) => ({ name, value }));
    const topics = STREAMS.map((stream) => ({ topic: bed.topic(stream), numPartitions: partitions, configEntries }));
    await bed.withAdmin((admin) => admin.createTopics({ topics, waitForLeaders: true }));
    await bed.command(['migrate', '--topics', '--partitions', String(partitions)]);
    return bed;
  }

  topic(stream: Stream): string {
    return `${this.name}.${stream}`;
  }

  output(name: string): string {
    return `${this.name}.out.${name}`;
  }

  /** The source stream of an input topic's name. */
  streamOf(topic: string): Stream | undefined {
    return STREAMS.find((stream) => this.topic(stream) === topic);
  }

  environment(more: Record<string, string> = {}): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      KAFKA_BROKERS: this.services.kafkaBrokers,
      REDIS_URL: this.services.redisUrl,
      REDIS_KEY_PREFIX: this.keyPrefix,
      DATABASE_URL: this.services.databaseUrl,
      GROUP_ID: this.name,
      CONFIG_FILE: this.#configFile,
      HTTP_HOST: HOST,
      HTTP_PORT: '0',
      OUTPUT_UNIQUE: 'true',
      STATE_DIR: join(this.keeper.folder, 'state'),
      ...more,
    };
  }

  /** A process with a state folder of its own, not yet started. */
  worker(name: string, more: Record<string, string> = {}, args: readonly string[] = []): Worker {
    const worker = new Worker({
      name,
      keeper: this.keeper,
      environment: this.environment({ STATE_DIR: this.stateDir(name), ...more }),
      args,
    });
    this.#workers.push(worker);
    return worker;
  }

  stateDir(name: string): string {
    const folder = join(this.keeper.folder, `state-${name}`);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** A command to its end; resolves with what it printed, rejects unless it exits with 0. */
  async command(args: readonly string[], more: Record<string, string> = {}): Promise<string> {
    const { stdout } = await run(process.execPath, [MAIN, ...args], { env: this.environment(more), maxBuffer: 64 << 20 });
    return stdout;
  }

  async producer(): Promise<ExactProducer> {
    this.#producer ??= await ExactProducer.open(this.kafka, (stream) => this.topic(stream));
    return this.#producer;
  }

  async withAdmin<T>(ask: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.kafka.admin();
    await admin.connect();
    return ask(admin).finally(() => admin.disconnect());
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.kill()));
    await this.#producer?.close();
    await this.withAdmin(async (admin) => {
      const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(`${this.name}.`));
      await admin.deleteTopics({ topics });
    });
    await this.keeper.close();
  }
}

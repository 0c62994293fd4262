/** Names of topics, a database and a state folder that no other test uses, as settings of the program. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kafka } from 'kafkajs';
import { kafkaClient } from '../../src/topology/sources/kafka-client.ts';
import { cli, type Ended } from '../commands/cli.ts';
import type { SharedServices } from '../services/global-setup.ts';
import { freshDatabase, uniqueName } from '../services/integration.ts';
import { silent } from './kafka-bed.ts';

export class CommandBed {
  readonly kafka: Kafka;
  readonly folder = mkdtempSync(join(tmpdir(), 'exposure-stream-command-'));
  readonly prefix = `${uniqueName('out')}.`;
  readonly topics: { exposures: string; assignments: string; impressions: string };
  readonly environment: Record<string, string>;

  private constructor(services: SharedServices, databaseUrl: string) {
    const start = uniqueName('in');
    this.kafka = kafkaClient({ brokers: services.kafkaBrokers.split(','), clientId: 'test' }, silent);
    this.topics = { exposures: `${start}-e`, assignments: `${start}-a`, impressions: `${start}-i` };
    const config = join(this.folder, 'config.yaml');
    const streams = Object.fromEntries(Object.entries(this.topics).map(([stream, topic]) => [stream, { topic }]));
    writeFileSync(config, JSON.stringify({ streams, outputs: { prefix: this.prefix } }));
    this.environment = {
      KAFKA_BROKERS: services.kafkaBrokers,
      REDIS_URL: services.redisUrl,
      DATABASE_URL: databaseUrl,
      STATE_STORE: 'dir',
      STATE_DIR: join(this.folder, 'state'),
      CONFIG_FILE: config,
    };
  }

  static async open(services: SharedServices): Promise<CommandBed> {
    return new CommandBed(services, await freshDatabase(services.databaseUrl));
  }

  get inputs(): string[] {
    return Object.values(this.topics);
  }

  run(args: readonly string[], more: Record<string, string> = {}): Promise<Ended> {
    return cli(args, { ...this.environment, ...more });
  }
}

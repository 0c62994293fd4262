import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import type { Keeper } from './keeper.ts';
import { cached, freePort, HOST, maven, onPath, run, ServiceMissing, shortHash, untilReady } from './tools.ts';

export const KAFKA_VERSION = '4.1.1';
const POM = join(import.meta.dirname, 'kafka-pom.xml');

/** What one broker that stands alone has to be told, locally and in a container. */
export const SINGLE_BROKER = {
  'offsets.topic.replication.factor': '1',
  'offsets.topic.num.partitions': '4',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'transaction.state.log.num.partitions': '4',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'auto.create.topics.enable': 'false',
} as const;

/** A real broker by KRaft, with no distribution installed: its jars by Maven. Resolves to `host:port`. */
export async function startLocalKafka(keeper: Keeper): Promise<string> {
  const java = onPath('java');
  if (!java) throw new ServiceMissing('Kafka: install Java (17 or newer) and Apache Maven, or Docker');
  const classpath = join(await kafkaJars(), '*');
  const home = join(keeper.folder, 'kafka');
  await mkdir(home);
  const [port, controllerPort] = [await freePort(), await freePort()];
  const properties = join(home, 'server.properties');
  await writeFile(properties, serverProperties(home, port, controllerPort));
  const logging = join(home, 'log4j2.properties');
  await writeFile(logging, LOGGING);
  // Native codecs unpack themselves into java.io.tmpdir and would stay there.
  const jvm = ['-XX:+UseSerialGC', `-Djava.io.tmpdir=${home}`, `-Dlog4j2.configurationFile=${logging}`, '-cp', classpath];
  await run(java, [
    '-XX:TieredStopAtLevel=1',
    ...jvm,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    'AAAAAAAAQACAAAAAAAAAAQ',
    '-c',
    properties,
  ]);
  const launch = {
    command: java,
    args: ['-Xmx768m', ...jvm, 'kafka.Kafka', properties],
    stopSignal: 'SIGKILL',
    options: { cwd: home },
  } as const;
  const kept = keeper.launch('kafka', launch);
  const brokers = `${HOST}:${port}`;
  await untilReady('Kafka', () => askKafka(brokers), kept);
  return brokers;
}

/** Resolves when the brokers answer and can coordinate groups (the first group on a fresh broker would else be turned away). */
export async function askKafka(brokers: string): Promise<void> {
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING, connectionTimeout: 2_000, retry: { retries: 0 } });
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.describeCluster();
    await admin.fetchOffsets({ groupId: 'exposure-stream-tests-ready', topics: [] });
  } finally {
    await admin.disconnect();
  }
}

async function kafkaJars(): Promise<string> {
  const pom = await readFile(POM);
  return cached(`kafka-${KAFKA_VERSION}-${shortHash(pom)}`, (folder) =>
    maven(['-f', POM, 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`], 'Kafka: install Docker'),
  );
}

function serverProperties(home: string, port: number, controllerPort: number): string {
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@${HOST}:${controllerPort}`,
    listeners: `PLAINTEXT://${HOST}:${port},CONTROLLER://${HOST}:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${HOST}:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': join(home, 'logs'),
    'log.cleaner.dedupe.buffer.size': String(16 * 1024 * 1024),
    ...SINGLE_BROKER,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

const LOGGING = `rootLogger.level=WARN
rootLogger.appenderRef.c.ref=c
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d %p %c %m%n
`;

import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Keeper } from './keeper.ts';
import { cached, freePort, HOST, maven, onPath, ServiceMissing, untilReady } from './tools.ts';
import { readZipEntry } from './zip.ts';

/** A jar on Maven Central that carries redis-server for the usual systems. */
const JAR = 'com.github.codemonstur:embedded-redis:1.4.3';

export interface LocalRedis {
  url: string;
  /** Killed and started again on the same port, empty: nothing is ever written to disk. */
  restart(): Promise<void>;
}

export async function startLocalRedis(keeper: Keeper): Promise<LocalRedis> {
  const command = onPath('redis-server') ?? (await redisFromMaven());
  const home = join(keeper.folder, 'redis');
  await mkdir(home);
  const port = await freePort();
  const url = `redis://${HOST}:${port}/0`;
  const args = ['--port', String(port), '--bind', HOST, '--save', '', '--appendonly', 'no', '--dir', home];
  const start = async () => {
    const kept = keeper.launch('redis', { command, args, stopSignal: 'SIGKILL' });
    await untilReady('Redis', () => askRedis(url), kept);
    return kept;
  };
  let kept = await start();
  const restart = async () => {
    await kept.stop();
    kept = await start();
  };
  return { url, restart };
}

export async function askRedis(url: string): Promise<void> {
  const redis = new Redis(url, { lazyConnect: true, connectTimeout: 2_000, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  // The rejected call carries the error; without a listener ioredis prints it too.
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    await redis.ping();
  } finally {
    redis.disconnect();
  }
}

async function redisFromMaven(): Promise<string> {
  const os = { linux: 'linux', darwin: 'darwin' }[process.platform as string];
  const cpu = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  const missing = 'Redis: install redis-server';
  const folder = await cached(`${JAR.split(':').slice(1).join('-')}-${os}-${cpu}`, async (target) => {
    const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
    await maven([plugin, `-Dartifact=${JAR}`, `-DoutputDirectory=${target}`], missing);
    const jar = (await readdir(target)).find((name) => name.endsWith('.jar'));
    const binary = readZipEntry(await readFile(join(target, jar ?? '')), new RegExp(`^redis-server-.*-${os}-${cpu}$`));
    if (!binary) throw new ServiceMissing(`${missing}; ${JAR} has none for ${process.platform} ${process.arch}`);
    await writeFile(join(target, 'redis-server'), binary);
    await chmod(join(target, 'redis-server'), 0o755);
  });
  return join(folder, 'redis-server');
}

import { Redis } from 'ioredis';
import { Keeper } from '../services/keeper.ts';
import { freePort, HOST, onPath, ServiceMissing, untilReady } from '../services/tools.ts';

/** A cluster of one node that owns every slot: it refuses a script whose keys lie in two slots, as a large one does. */
export const startRedisCluster = async (): Promise<{ url: string; client: Redis; stop(): Promise<void> }> => {
  const command = onPath('redis-server');
  if (!command) throw new ServiceMissing('Redis Cluster: redis-server is not on PATH: install it (Debian: redis-server)');
  const keeper = new Keeper();
  const port = await freePort();
  const flags = { port: String(port), bind: HOST, 'cluster-enabled': 'yes', 'cluster-announce-ip': HOST, dir: keeper.folder, save: '' };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const kept = keeper.launch('redis-cluster', { command, args, stopSignal: 'SIGKILL' });
  const url = `redis://${HOST}:${port}`;
  const client = new Redis(url, { maxRetriesPerRequest: 0, enableReadyCheck: false });
  client.on('error', () => {});
  await untilReady('Redis', async () => void (await client.ping()), kept);
  await client.cluster('ADDSLOTSRANGE', 0, 16_383);
  const covered = async (): Promise<void> => {
    if (!String(await client.cluster('INFO')).includes('cluster_state:ok')) throw new Error('slots are not served yet');
  };
  await untilReady('Redis Cluster', covered, kept);
  const stop = async (): Promise<void> => {
    client.disconnect();
    await keeper.close();
  };
  return { url, client, stop };
};

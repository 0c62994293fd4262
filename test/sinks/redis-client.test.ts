import { createServer, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { connected, openRedis } from '../../src/sinks/redis-client.ts';

/** Answers each command of a handshake, after so long. */
const answering = (afterMs: number): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => AbortSignal.timeout(afterMs).addEventListener('abort', () => socket.write('+OK\r\n'.repeat(4))));
    });
    server.listen(0, '127.0.0.1', () => resolve(server));
  });

const portOf = (server: Server): number => (server.address() as { port: number }).port;

test('a command that waits for the connection finds it, however late it is; one that does not is refused', async () => {
  const server = await answering(100);
  const redis = openRedis(`redis://127.0.0.1:${portOf(server)}`);
  redis.on('error', () => undefined);
  try {
    await expect(redis.hgetall('k')).rejects.toThrow('writeable');
    await connected(redis, 10_000);
    expect(redis.status).toBe('ready');
    await connected(redis, 10_000);
  } finally {
    redis.disconnect();
    server.close();
  }
});

test('where there is no server, waiting ends', async () => {
  const redis = openRedis('redis://127.0.0.1:1');
  redis.on('error', () => undefined);
  await expect(connected(redis, 50)).rejects.toThrow('no connection within 50 ms');
  redis.disconnect();
});

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeIntegration } from '../services/integration.ts';
import { startTlsRedis, type TlsRedis } from './redis-tls.ts';

const run = promisify(execFile);
const CHILD = join(import.meta.dirname, 'redis-tls-child.ts');
const MAIN = join(import.meta.dirname, '../../src/main.ts');
const WAIT = { timeout: 60_000 };

// The system's authorities and NODE_EXTRA_CA_CERTS are read once, when a process begins: so each of these is a process.
describeIntegration('Redis over TLS', () => {
  let redis: TlsRedis;
  beforeAll(async () => {
    redis = await startTlsRedis();
  });
  afterAll(() => redis?.stop());

  const child = async (url: string, caFile: string | null) => {
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
    const { stdout } = await run(process.execPath, [CHILD, url], { env: caFile === null ? env : { ...env, NODE_EXTRA_CA_CERTS: caFile } });
    return JSON.parse(stdout);
  };

  it('the stream writes and the gate reads where the server’s authority is trusted', WAIT, async () => {
    expect(await child(redis.url, redis.caFile)).toEqual({
      written: { refused: 0 },
      answer: { multiplier: 0.5, state: 'open', reason: 'pacing' },
      failed: false,
    });
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: redis.caFile, REDIS_URL: redis.url };
    const { stdout } = await run(process.execPath, [MAIN, 'gate', 'c', '--json'], { env });
    expect(JSON.parse(stdout)).toMatchObject({ campaign_id: 'c', state: 'open', key: { reason: 'pacing' } });
  });

  describe('nothing goes through', () => {
    it('to a server whose authority nobody knows', WAIT, async () => {
      const { written, answer } = await child(redis.url, null);
      expect(written.error).toBeDefined();
      expect(answer.state).toBe('closed');
      const env = { ...process.env, REDIS_URL: redis.url };
      const refused = run(process.execPath, [MAIN, 'gate', 'c'], { env });
      await expect(refused).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(/Redis does not answer: .*certificate/) });
      await expect(refused).rejects.toMatchObject({ stderr: expect.not.stringContaining('open-sesame') });
    });

    it('to a server of another name than its certificate says', WAIT, async () => {
      const other = await startTlsRedis('DNS:elsewhere.example');
      try {
        const { written, answer } = await child(other.url, other.caFile);
        expect(written.error).toBeDefined();
        expect(answer.state).toBe('closed');
      } finally {
        await other.stop();
      }
    });

    it('without TLS', WAIT, async () => {
      const { written, answer } = await child(redis.url.replace('rediss:', 'redis:'), redis.caFile);
      expect(written.error).toBeDefined();
      expect(answer.state).toBe('closed');
    });
  });
});

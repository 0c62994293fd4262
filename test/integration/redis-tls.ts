/** A Redis that speaks TLS only, with a certificate of an authority made for it. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { Keeper } from '../services/keeper.ts';
import { freePort, HOST, onPath, ServiceMissing, untilReady } from '../services/tools.ts';

const run = promisify(execFile);
const PASSWORD = 'open-sesame';

export interface TlsRedis {
  url: string;
  /** The authority, PEM: what NODE_EXTRA_CA_CERTS names. */
  caFile: string;
  stop(): Promise<void>;
}

/** @param names whom the server's certificate is for */
export async function startTlsRedis(names = `IP:${HOST},DNS:localhost`): Promise<TlsRedis> {
  const command = onPath('redis-server');
  const openssl = onPath('openssl');
  if (!command || !openssl) throw new ServiceMissing('TLS to Redis: redis-server and openssl are not both on PATH');
  const keeper = new Keeper();
  try {
    const { folder } = keeper;
    await makeCertificates(openssl, folder, names);
    const port = await freePort();
    const file = (name: string): string => join(folder, name);
    const flags = {
      port: '0',
      'tls-port': String(port),
      'tls-cert-file': file('server.pem'),
      'tls-key-file': file('server.key'),
      'tls-ca-cert-file': file('ca.pem'),
      'tls-auth-clients': 'no',
      requirepass: PASSWORD,
      bind: HOST,
      dir: folder,
      save: '',
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const kept = keeper.launch('redis-tls', { command, args, stopSignal: 'SIGKILL' });
    const url = `rediss://:${PASSWORD}@${HOST}:${port}`;
    await untilReady('Redis with TLS', () => ask(url), kept);
    return { url, caFile: file('ca.pem'), stop: () => keeper.close() };
  } catch (error) {
    await keeper.close();
    throw error;
  }
}

/** That it is up, whoever signed it. */
async function ask(url: string): Promise<void> {
  const client = new Redis(url, { tls: { rejectUnauthorized: false }, lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}

async function makeCertificates(openssl: string, cwd: string, names: string): Promise<void> {
  const key = (name: string): string[] => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
  await run(openssl, ['req', '-x509', ...key('ca'), '-out', 'ca.pem', '-days', '3650', '-subj', '/CN=authority of a test'], { cwd });
  await run(openssl, ['req', '-new', ...key('server'), '-out', 'server.csr', '-subj', '/CN=a server'], { cwd });
  await writeFile(join(cwd, 'names'), `subjectAltName=${names}`);
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '3650', '-extfile', 'names'];
  await run(openssl, ['x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signed], { cwd });
}

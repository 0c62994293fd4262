/** A real Alertmanager for tests, on a loopback port: Debian's package `prometheus-alertmanager`, or any `alertmanager` on PATH. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Keeper } from './keeper.ts';
import { freePort, HOST, onPath, ServiceMissing, untilReady } from './tools.ts';

const CONFIG = `
route: { receiver: nobody, group_by: ['...'], group_wait: 1s }
receivers: [{ name: nobody }]
`;

export interface ActiveAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  startsAt: string;
  endsAt: string;
}

export interface Alertmanager {
  url: string;
  /** What it holds to be firing now. */
  active(): Promise<ActiveAlert[]>;
}

/** The binary's path; null where it is not installed. Throws ServiceMissing where it has to be. */
export function findAlertmanager(): string | null {
  const found = onPath('prometheus-alertmanager') ?? onPath('alertmanager');
  if (found !== undefined) return found;
  const hint = "Alertmanager is not on PATH: install Debian's package `prometheus-alertmanager`";
  if (process.env['CI'] || process.env['REQUIRE_INTEGRATION']) throw new ServiceMissing(hint);
  console.warn(`NOT RUN: ${hint}. Deliveries to a real one were not checked.`);
  return null;
}

export async function startAlertmanager(keeper: Keeper, command: string): Promise<Alertmanager> {
  const home = join(keeper.folder, 'alertmanager');
  await mkdir(home);
  const config = join(home, 'alertmanager.yml');
  await writeFile(config, CONFIG);
  const port = await freePort();
  const url = `http://${HOST}:${port}`;
  const args = [`--config.file=${config}`, `--storage.path=${home}`, `--web.listen-address=${HOST}:${port}`, '--cluster.listen-address='];
  const kept = keeper.launch('alertmanager', { command, args, stopSignal: 'SIGKILL' });
  const ask = async (path: string): Promise<Response> => {
    const response = await fetch(`${url}${path}`);
    if (!response.ok) throw new Error(`Alertmanager answered ${response.status} to ${path}`);
    return response;
  };
  await untilReady('Alertmanager', async () => void (await ask('/-/ready')).body?.cancel(), kept);
  return { url, active: async () => (await (await ask('/api/v2/alerts?active=true')).json()) as ActiveAlert[] };
}

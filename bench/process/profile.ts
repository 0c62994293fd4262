/** The most expensive functions of a stretch of work, by the sampling profiler of node:inspector. */
import type { Profiler } from 'node:inspector';
import { Session } from 'node:inspector/promises';
import type { Expense } from './protocol.ts';

const SAMPLE_US = 500;

export class Profile {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  static async begin(): Promise<Profile> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
    await session.post('Profiler.start');
    return new Profile(session);
  }

  /** What was done since `begin`, most expensive first. */
  async end(): Promise<Expense[]> {
    const { profile } = await this.#session.post('Profiler.stop');
    this.#session.disconnect();
    return expensesOf(profile);
  }
}

function expensesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Expense[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const spentUs = new Map<string, number>();
  let totalUs = 0;
  samples.forEach((id, i) => {
    const name = names.get(id) ?? '?';
    if (name === '(idle)') return;
    spentUs.set(name, (spentUs.get(name) ?? 0) + timeDeltas[i]);
    totalUs += timeDeltas[i];
  });
  return [...spentUs].map(([name, us]) => ({ name, share: us / totalUs })).sort((a, b) => b.share - a.share);
}

const nameOf = ({ functionName, url, lineNumber }: { functionName: string; url: string; lineNumber: number }): string => {
  if (url === '') return functionName === '' ? '(anonymous)' : functionName;
  return `${functionName || '(anonymous)'} ${url.split('/').slice(-2).join('/')}:${lineNumber + 1}`;
};

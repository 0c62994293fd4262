/** The most expensive functions of a stretch of work, by the sampling profiler of node:inspector. */

import type { Profiler } from 'node:inspector';
import { Session } from 'node:inspector/promises';

const SAMPLE_US = 500;

export interface Expense {
  /** Function, file and line. */
  name: string;
  /** Of all samples that were not idle, 0 to 1. */
  share: number;
}

/** Runs the work; returns its result and what it was spent on, most expensive first. */
export async function profiled<T>(work: () => Promise<T>): Promise<{ result: T; expenses: Expense[] }> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
  await session.post('Profiler.start');
  const result = await work();
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  return { result, expenses: expensesOf(profile) };
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

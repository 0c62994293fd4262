/** Small troubles: what becomes of one call. */
import { StreamError } from '../../src/errors.ts';
import type { Plan } from './plan.ts';
import type { Random } from './random.ts';

/** A fault without a name, so that a real one can be told from it. */
export class Injected extends Error {}

export type CallFault = { trouble: 'refused call' | 'lost reply'; error: Error };

const NEVER_FAIL = /^(start|stop) /;

/** The fault of a step, or null. A step after the effect fails as a lost reply does. */
export function faultOf(label: string, plan: Plan, random: Random): CallFault | null {
  if (NEVER_FAIL.test(label) || !random.chance(plan.failing)) return null;
  const trouble = /before$/.test(label) ? 'refused call' : 'lost reply';
  if (!plan.troubles.has(trouble)) return null;
  return { trouble, error: errorOf(label, random) };
}

function errorOf(label: string, random: Random): Error {
  if (label.startsWith('counters')) return new StreamError('redis_unreachable', 'injected');
  if (/^(totals|alerts|closed alerts|registry)/.test(label)) return new StreamError('postgres_unreachable', 'injected');
  if (label.startsWith('counts')) return new StreamError('kafka_unreachable', 'injected');
  return random.chance(0.5) ? new StreamError('kafka_unreachable', 'injected') : new Injected('injected');
}

/** Inside a batch a crash is likelier than elsewhere. */
export const crashChance = (label: string): number => (/^(send|counters|append|commit|claim|totals|alerts)/.test(label) ? 0.004 : 0.0008);

/** What the benchmarks of state share: keys, meters, and figures beside their targets. */
import { cpus, loadavg } from 'node:os';
import { KeyBlock } from '../src/state/key-block.ts';

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const START = 20_000 * DAY;
export const BLOCK = 4096;

export const his = new Uint32Array(BLOCK);
export const los = new Uint32Array(BLOCK);

export const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
export const collect = (): void => (globalThis as { gc?: () => void }).gc?.();

export function check(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found}, expected ${expected}`);
}

/** Fills `his` and `los` with keys number `first` and on, the same for the same number: every key differs from every other. */
export function fillKeys(first: number): void {
  for (let i = 0; i < BLOCK; i++) {
    const n = first + i;
    let x = Math.imul(n, 0x9e37_79b1);
    x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
    los[i] = x ^ (x >>> 13);
    x = Math.imul(n ^ 0x5bd1_e995, 0xc2b2_ae35);
    his[i] = x ^ (x >>> 15);
  }
}

/** Those keys, as many at a time as are entered together. */
export function eachKeyBlock(ts: number, enter: (keys: KeyBlock) => void): void {
  const keys = new KeyBlock();
  for (let i = 0; i < BLOCK; i++) {
    keys.push(his[i], los[i], ts);
    if (!keys.full) continue;
    enter(keys);
    keys.clear();
  }
}

/**
 * Runs one block at a time and keeps the longest, by this thread's CPU time and by the clock, in which neighbours on a busy machine
 * count; CPU time of the process over all.
 */
export class Meter {
  longestMs = 0;
  longestWallMs = 0;
  #cpu: NodeJS.CpuUsage | null = null;
  #cpuMs = 0;

  run(block: () => void): void {
    this.#cpu ??= process.cpuUsage();
    const from = performance.now();
    const thread = process.threadCpuUsage();
    block();
    const { user, system } = process.threadCpuUsage(thread);
    this.longestMs = Math.max(this.longestMs, (user + system) / 1000);
    this.longestWallMs = Math.max(this.longestWallMs, performance.now() - from);
  }

  /** From the first block to the first time that this is asked. */
  get cpuMs(): number {
    if (this.#cpu === null) return this.#cpuMs;
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#cpu = null;
    this.#cpuMs = (user + system) / 1000;
    return this.#cpuMs;
  }
}

export interface Target {
  /** The figure must be at least, or at most this. */
  min?: number;
  max?: number;
}

let unmet = 0;
export const unmetTargets = (): number => unmet;

/** Prints a figure, its target, and whether it is met. */
export function figure(what: string, value: number, unit: string, { min, max }: Target = {}): void {
  const target = min === undefined ? (max === undefined ? '' : `≤ ${max} ${unit}`) : `≥ ${min} ${unit}`;
  const isMet = value >= (min ?? Number.NEGATIVE_INFINITY) && value <= (max ?? Number.POSITIVE_INFINITY);
  if (!isMet) unmet++;
  const verdict = target === '' ? '' : `${target.padEnd(14)} ${isMet ? 'met' : 'NOT MET'}`;
  print(`  ${what.padEnd(58)} ${value.toFixed(1).padStart(8)} ${unit.padEnd(8)} ${verdict}`.trimEnd());
}

export const millions = (count: number, ms: number): number => count / ms / 1000;

export function printMachine(): void {
  const [{ model }] = cpus();
  print(`${model}, ${cpus().length} cores, Node ${process.version}; load ${loadavg()[0].toFixed(1)} over the last minute`);
}

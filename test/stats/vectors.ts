import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Rows = number[][];

/** What vectors/make.py wrote: arguments first, the answer last. */
export interface Vectors {
  ln_gamma: [number, number][];
  stirling_rest: [number, number][];
  ln_binomial: [number, number, number, number][];
  chi_squared: [number, number, number][];
  chi_squared_scipy: [number, number, number][];
  dirichlet_multinomial: [number[], number[], number[], number][];
  tilts: [number[], number[], Rows][];
  confidence: [number[], number[], number, Rows][];
  onset: [number[], number[]];
  log_rank: [number[], number[], Rows][];
  excess_rate: [number, number, number, number][];
}

export const VECTORS = JSON.parse(readFileSync(join(import.meta.dirname, 'vectors', 'scipy.json'), 'utf8')) as Vectors;

/** Distance in units of the expected value, or absolute where that is small. */
export const error = (actual: number, expected: number): number => Math.abs(actual - expected) / Math.max(1, Math.abs(expected));
export const relativeError = (actual: number, expected: number): number =>
  actual === expected ? 0 : Math.abs(actual - expected) / Math.abs(expected);

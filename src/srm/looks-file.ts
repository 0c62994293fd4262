/** A file of looks, a line each, through the test that evaluates the stream. */
import { ExperimentTest, type VersionTest } from './experiment-test.ts';
import { checkArms, parseCounts, parseRatio, parseShares, SplitInputError } from './split-input.ts';

const MAX_VERSION = 2 ** 31 - 1;

interface LookLine {
  experimentId: string;
  version: number;
  /** Null where the line says none. */
  shares: number[] | null;
  counts: number[];
}

export interface LooksResult {
  experimentId: string;
  test: ExperimentTest;
}

export interface LooksOptions {
  alpha: number;
  /** Of lines that say none. */
  shares: readonly number[] | null;
}

/** Takes looks in order; `results` are in order of first appearance. */
export class Looks {
  readonly #options: LooksOptions;
  readonly #experiments = new Map<string, ExperimentTest>();

  constructor(options: LooksOptions) {
    this.#options = options;
  }

  get results(): LooksResult[] {
    return [...this.#experiments].map(([experimentId, test]) => ({ experimentId, test }));
  }

  /** Throws SplitInputError. An empty line is no look. */
  line(text: string): void {
    // Some editors begin a file with a byte-order mark.
    const plain = text.replace(/^\uFEFF/, '');
    if (plain.trim() === '') return;
    const { experimentId, version, shares: own, counts } = parseLine(plain);
    const shares = own ?? this.#options.shares;
    if (shares === null) throw new SplitInputError('A look needs shares, in its line or by --shares or --ratio.');
    checkArms(counts, shares);
    let test = this.#experiments.get(experimentId);
    if (test === undefined) {
      test = new ExperimentTest(this.#options.alpha);
      this.#experiments.set(experimentId, test);
    }
    const known = test.versions.get(version);
    if (known !== undefined) checkGoesOn(known, shares, counts);
    const tested = (known ?? test.addVersion(version, shares)).counts;
    for (let arm = 0; arm < tested.length; arm++) tested[arm] = counts[arm];
    test.look();
  }
}

/** A version has one split, and its counts are cumulative. */
function checkGoesOn(known: VersionTest, shares: readonly number[], counts: readonly number[]): void {
  if (shares.length !== known.shares.length || shares.some((share, arm) => share !== known.shares[arm]))
    throw new SplitInputError('The shares of an allocation version cannot change: a new split is a new allocation_version.');
  const arm = counts.findIndex((count, index) => count < known.counts[index]);
  if (arm !== -1)
    throw new SplitInputError(`Counts are cumulative and cannot fall, but arm ${arm} went from ${known.counts[arm]} to ${counts[arm]}.`);
}

function parseLine(text: string): LookLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new SplitInputError('A look must be one JSON object, and this is not JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SplitInputError('A look must be one JSON object, and this is none.');
  const { experiment_id, allocation_version, shares, ratio, counts } = value as Record<string, unknown>;
  if (typeof experiment_id !== 'string' || experiment_id === '') throw new SplitInputError('A look must name its experiment_id, a text.');
  const version = allocation_version ?? 1;
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1 || version > MAX_VERSION)
    throw new SplitInputError(`An allocation_version must be a whole number from 1 on, but it is ${JSON.stringify(version)}.`);
  return { experimentId: experiment_id, version, shares: sharesOf(shares ?? null, ratio ?? null), counts: parseCounts(counts) };
}

const sharesOf = (shares: unknown, ratio: unknown): number[] | null => {
  if (ratio !== null && shares !== null)
    throw new SplitInputError('A look has shares and a ratio, which say the same thing: give one of them.');
  if (ratio !== null) return parseRatio(ratio);
  if (shares === null) return null;
  return typeof shares === 'string' && shares.includes(':') ? parseRatio(shares) : parseShares(shares);
};

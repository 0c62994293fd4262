/** What a person or a file says about a split, checked. Every refusal is one plain sentence. */

/** Shares may miss 1 by this much, and by what decimal digits cannot say. */
const SHARES_SLACK = 1e-9 + 1e-15;
/** Above this a double no longer tells whole numbers apart. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;
/** A number as people write one; not 0x10, which Number() reads too. */
const DECIMAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

export class SplitInputError extends Error {}

const refuse = (message: string): never => {
  throw new SplitInputError(message);
};

/** Numbers as they stand in a list or a text with separators. */
const partsOf = (given: unknown, separator: string, what: string): unknown[] => {
  if (Array.isArray(given)) return given;
  if (typeof given === 'string') return given.split(separator).map((part) => (DECIMAL.test(part) ? Number(part) : part.trim()));
  return refuse(`${what} must be a list of numbers, but ${shown(given)} is none.`);
};

const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value)));

/** Whole numbers from 0 to 2^53 − 1. */
export function parseCounts(given: unknown): number[] {
  const counts = partsOf(given, ',', 'Counts').map((count) => {
    if (typeof count !== 'number' || !Number.isFinite(count)) return refuse(`A count must be a whole number, but one is ${shown(count)}.`);
    if (count < 0) return refuse(`A count cannot be negative, but one is ${count}.`);
    if (!Number.isInteger(count)) return refuse(`A count must be a whole number of units, but one is ${count}.`);
    if (count > MAX_COUNT) return refuse(`A count above 2^53 − 1 (9,007,199,254,740,991) is not exact, and one is ${count}.`);
    return count;
  });
  return counts.length === 0 ? refuse('There are no counts.') : counts;
}

/** From 0 to 1, adding to 1. */
export function parseShares(given: unknown): number[] {
  const shares = partsOf(given, ',', 'Shares').map((share) =>
    typeof share === 'number' && share >= 0 && share <= 1 + SHARES_SLACK
      ? share
      : refuse(`A share must be a number from 0 to 1, but one is ${shown(share)}.`),
  );
  if (shares.length === 0) return refuse('There are no shares.');
  const sum = shares.reduce((total, share) => total + share, 0);
  return sharesAddUp(shares) ? shares : refuse(`The shares must add to 1, but they add to ${sum}.`);
}

export const sharesAddUp = (shares: readonly number[]): boolean =>
  Math.abs(shares.reduce((total, share) => total + share, 0) - 1) <= SHARES_SLACK;

/** `1:1`, `9:1`, `2:1:0`: the shares in proportion. */
export function parseRatio(given: unknown): number[] {
  const parts = partsOf(given, ':', 'A ratio').map((part) =>
    typeof part === 'number' && part >= 0 && Number.isFinite(part)
      ? part
      : refuse(`A ratio must be numbers with colons between, such as 1:1, but ${shown(given)} is not.`),
  );
  const sum = parts.reduce((total, part) => total + part, 0);
  return sum > 0 && Number.isFinite(sum)
    ? parts.map((part) => part / sum)
    : refuse(`A ratio must have a part above 0, and ${shown(given)} has none.`);
}

/** One count an arm. */
export function checkArms(counts: readonly number[], shares: readonly number[]): void {
  if (counts.length === shares.length) return;
  const said = (many: number, word: string): string => `${many} ${word}${many === 1 ? '' : 's'}`;
  refuse(`Every arm needs a count and a share, but given were ${said(counts.length, 'count')} and ${said(shares.length, 'share')}.`);
}

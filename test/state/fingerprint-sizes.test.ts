import { expect, test } from 'vitest';
import { LAST_STRETCH, limitOf, linesFor, MAX_LINES, nextLines, reachOf, reservedLines } from '../../src/state/fingerprint-sizes.ts';

const GIB = 2 ** 30;
const bytesOf = (lines: number): number => linesFor(lines) * 64;

test('it grows by half, beyond 64 MiB by a quarter; the last step before 4 GiB ends less than a step below, since beyond it is another memory and no compiled code', () => {
  const sizes = [512];
  while (sizes[sizes.length - 1] < MAX_LINES) {
    const lines = sizes[sizes.length - 1];
    sizes.push(nextLines(lines, limitOf(lines)));
  }
  const narrow = sizes.filter((lines) => bytesOf(lines) < 4 * GIB);
  expect(bytesOf(narrow[narrow.length - 1])).toBeGreaterThan((4 * GIB) / 1.15);
  for (const [i, lines] of sizes.slice(1).entries()) {
    const from = sizes[i];
    expect(lines / from).toBeLessThan(bytesOf(from) < 2 ** 26 ? 1.51 : 1.3);
    // Room between what has been moved up and what has not, down to the last stretch.
    if (bytesOf(lines) < 4 * GIB) expect((lines / from - 1) * LAST_STRETCH).toBeGreaterThan(reachOf(from) + 1);
  }
});

test('room for keys that are told of: never less than a step of growth, and within 4 GiB as long as they fit', () => {
  expect(reservedLines(0, 10)).toBe(512);
  expect(reservedLines(10_000, 50_000)).toBe(10_000);
  expect(reservedLines(10_000, 64_100)).toBe(12_500);
  const many = reservedLines(0, 432_000_000);
  expect(bytesOf(many)).toBeLessThan(4 * GIB);
  expect(limitOf(many)).toBeGreaterThan(432_000_000);
  expect(bytesOf(reservedLines(0, 470_000_000))).toBeGreaterThan(4 * GIB);
});

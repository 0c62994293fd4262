import { expect, test } from 'vitest';
import { FILE_SCHEMA } from '../../src/config.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { IngestState } from '../../src/topology/ingest-state.ts';

const HOUR_MS = 3_600_000;

test.each([
  { what: 'ids', dedupTtlMs: 24 * HOUR_MS + 7000, allowedLatenessMs: 900_000, expiresMs: HOUR_MS + 7000 },
  { what: 'ids, though suspects do before,', dedupTtlMs: 24 * HOUR_MS + 7000, allowedLatenessMs: 905_000, expiresMs: HOUR_MS + 7000 },
])('keys may be entered ahead up to where $what expire next', ({ dedupTtlMs, allowedLatenessMs, expiresMs }) => {
  const { time, limits } = FILE_SCHEMA.parse({});
  const times = { ...time, dedupTtlMs, allowedLatenessMs };
  const state = new IngestState({ time: times, limits, hash: new SeededHash(new Uint8Array(8)), budget: new MemoryBudget(), reasons: 0 });
  state.begin(0);
  const startMs = 500_000 * HOUR_MS + time.maxOutOfOrdernessMs;
  expect(state.isCalmUntil(startMs)).toBe(false);
  state.observe(startMs + HOUR_MS + 1000);
  expect(state.isCalmUntil(startMs + expiresMs - 1)).toBe(true);
  expect(state.isCalmUntil(startMs + expiresMs)).toBe(false);
});

import { expect, test } from 'vitest';
import { FILE_SCHEMA } from '../../src/config.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { IngestState } from '../../src/topology/ingest-state.ts';

const HOUR_MS = 3_600_000;

const fresh = (): IngestState => {
  const { time, limits } = FILE_SCHEMA.parse({});
  const state = new IngestState({ time, limits, hash: new SeededHash(new Uint8Array(8)), budget: new MemoryBudget(), reasons: 0 });
  state.begin(0);
  return state;
};

test('a commit of a hundred thousand keys is applied in steps, and the state is whole and in place after the last', () => {
  const before = fresh();
  const keys = 100_000;
  for (let i = 0; i < keys; i++) before.seenBefore(Math.imul(i, 0x9e37_79b1) >>> 0, i, 500_000 * HOUR_MS);
  before.position = keys;
  const commit = before.takeCommit();
  const after = fresh();
  let steps = 0;
  for (const _ of after.restore(commit)) {
    steps++;
    expect(after.dedup.size).toBe(steps * 32_768);
    expect(after.position).toBe(0);
  }
  expect(steps).toBe(3);
  expect(after.dedup.size).toBe(keys);
  expect(after.position).toBe(keys);
});

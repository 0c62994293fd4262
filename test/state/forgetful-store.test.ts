import { expect, test } from 'vitest';
import { ForgetfulStateStore } from '../../src/state/forgetful-store.ts';
import type { StateStore } from '../../src/topology/types.ts';

const TASK = { stage: 'ingest', topic: 't', partition: 0 } as const;
const HEADER = { formatVersion: 1, hashSeedId: 's', partitionCounts: {}, epoch: 0, configuration: '' };

test('what is committed is gone, but memory stands: only the first claim is not current', async () => {
  const store: StateStore = new ForgetfulStateStore();
  const log = store.open(TASK);
  const first = await log.claim(HEADER);
  await log.append({ from: 0, to: 5, changes: Uint8Array.of(1) });
  const second = await log.claim(HEADER);
  expect([first.current, second.current]).toEqual([false, true]);
  expect(second.id).toBeGreaterThan(first.id);
  for await (const commit of second.commits()) expect(commit).toBeUndefined();
  expect(second.previous).toBeNull();
});

test('two runs have the same seed', async () => {
  expect(await new ForgetfulStateStore().hashSeed()).toEqual(await new ForgetfulStateStore().hashSeed());
});

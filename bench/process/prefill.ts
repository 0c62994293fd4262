/** A state that already holds many keys, as commits that a restore reads. */
import type { Settings } from '../../src/config.ts';
import { INVALID_REASONS } from '../../src/operators/decode.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { IngestState } from '../../src/topology/ingest-state.ts';
import { STATE_FORMAT } from '../../src/topology/pipeline.ts';
import type { StateStore } from '../../src/topology/types.ts';
import { BLOCK, eachKeyBlock, fillKeys, HOUR } from '../figures.ts';
import type { WorkerPlan } from './protocol.ts';

const KEYS_PER_COMMIT = 100 * BLOCK;

export interface PrefillWork {
  settings: Settings;
  plan: WorkerPlan;
}

/** Keys over the day before the first record, all in partition 0. */
export async function prefill(store: StateStore, { settings, plan }: PrefillWork): Promise<void> {
  if (plan.keys === 0) return;
  const hash = new SeededHash(await store.hashSeed());
  const { time, limits } = settings;
  const log = store.open({ stage: 'ingest', topic: plan.topic, partition: 0 });
  const header = { formatVersion: STATE_FORMAT, hashSeedId: hash.id, partitionCounts: {}, epoch: 0, configuration: '' };
  const claim = await log.claim(header);
  for await (const _ of claim.commits()) throw new Error('the state is not empty');
  for (let first = 0; first < plan.keys; first += KEYS_PER_COMMIT) {
    // A state of its own for each commit: only its journal is wanted.
    const state = new IngestState({ time, limits, hash, budget: new MemoryBudget(), reasons: INVALID_REASONS.length });
    state.begin(0);
    const eventTs = plan.baseMs - Math.floor((1 - first / plan.keys) * 22 * HOUR);
    for (let from = first; from < Math.min(plan.keys, first + KEYS_PER_COMMIT); from += BLOCK) {
      fillKeys(from);
      eachKeyBlock(eventTs, (keys) => state.enterIds(keys));
    }
    await log.append(state.takeCommit());
    state.dispose();
  }
  await log.close();
}

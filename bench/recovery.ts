/** A day of keys through ingest's journal into a commit log, and back by the path that a task restores by. */
import { FILE_SCHEMA } from '../src/config.ts';
import { INVALID_REASONS } from '../src/operators/decode.ts';
import { MemoryBudget, PRESENT } from '../src/state/fingerprints.ts';
import { SeededHash } from '../src/state/hash.ts';
import { SystemClock } from '../src/topology/clock.ts';
import { IngestState } from '../src/topology/ingest-state.ts';
import type { CommitLog, StateHeader, StateStore, TaskId } from '../src/topology/types.ts';
import { BLOCK, check, DAY, eachKeyBlock, fillKeys, his, los, START } from './figures.ts';

const TASK: TaskId = { stage: 'ingest', topic: 'impressions', partition: 0 };
const HEADER: StateHeader = { formatVersion: 1, hashSeedId: '', partitionCounts: {}, epoch: 1, configuration: '' };
const COMMIT_MS = 1000;

function newState(): IngestState {
  const { time, limits } = FILE_SCHEMA.parse({});
  const hash = new SeededHash(new Uint8Array(8));
  return new IngestState({ time, limits, hash, budget: new MemoryBudget(), reasons: INVALID_REASONS.length });
}

export interface Written {
  keys: number;
  commits: number;
  logBytes: number;
  cpuMs: number;
  wallMs: number;
  /** A commit, journal to disk. */
  longestAppendMs: number;
}

export interface WritePlan {
  keys: number;
  /** A commit after so many keys; null: after each second of work. */
  keysPerCommit: number | null;
  /** Also the second key that an accepted record has. */
  suspects?: boolean;
}

/** Judges keys as ingest does: look up, journal, watermark; nothing else. */
export async function writeDay(store: StateStore, { keys: count, keysPerCommit, suspects = false }: WritePlan): Promise<Written> {
  const log = store.open(TASK);
  await log.claim(HEADER);
  const state = newState();
  state.begin(0);
  const blocks = Math.ceil(count / BLOCK);
  const written: Written = { keys: blocks * BLOCK, commits: 0, logBytes: 0, cpuMs: 0, wallMs: 0, longestAppendMs: 0 };
  const cpu = process.cpuUsage();
  const from = performance.now();
  let committedMs = from;
  for (let block = 0; block < blocks; block++) {
    const ts = START + Math.floor((block / blocks) * DAY);
    fillKeys(block * BLOCK);
    state.observe(ts);
    eachKeyBlock(ts, (keys) => {
      state.enterIds(keys);
      if (keys.outcomes.subarray(0, keys.size).includes(PRESENT)) throw new Error(`one of keys ${block * BLOCK} and on was there`);
      if (suspects) state.enterSuspects(keys);
    });
    state.position += BLOCK;
    const pending = state.position - written.commits * (keysPerCommit ?? 0);
    const isDue = keysPerCommit === null ? performance.now() - committedMs >= COMMIT_MS : pending >= keysPerCommit;
    if (!isDue && block < blocks - 1) continue;
    committedMs = performance.now();
    await commit(log, state, written);
  }
  const { user, system } = process.cpuUsage(cpu);
  Object.assign(written, { cpuMs: (user + system) / 1000, wallMs: performance.now() - from, logBytes: log.sizeBytes() });
  check('keys in state', state.dedup.size, written.keys);
  await log.close();
  state.dispose();
  return written;
}

async function commit(log: CommitLog, state: IngestState, written: Written): Promise<void> {
  const from = performance.now();
  await log.append(state.takeCommit());
  written.commits++;
  written.longestAppendMs = Math.max(written.longestAppendMs, performance.now() - from);
}

export interface Restored {
  keys: number;
  cpuMs: number;
  wallMs: number;
  /** The longest step of a commit: the event loop stands still so long. */
  longestMs: number;
}

/** Claims and restores as Task does, then asks for keys again. */
export async function restoreDay(store: StateStore, keys: number): Promise<Restored> {
  const log = store.open(TASK);
  const state = newState();
  const cpu = process.cpuUsage();
  const from = performance.now();
  const clock = new SystemClock();
  let longestMs = 0;
  for await (const commit of (await log.claim(HEADER)).commits()) {
    const steps = state.restore(commit);
    for (let done = false; !done; ) {
      const begun = performance.now();
      done = steps.next().done === true;
      longestMs = Math.max(longestMs, performance.now() - begun);
      if (!done) await clock.sleep(0);
    }
  }
  const wallMs = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  check('keys restored', state.dedup.size, keys);
  check('position restored', state.position, keys);
  for (let block = 0; block * BLOCK < keys; block += 100) {
    fillKeys(block * BLOCK);
    for (let i = 0; i < BLOCK; i++) if (!state.dedup.has(his[i], los[i])) throw new Error(`key ${block * BLOCK + i} did not come back`);
  }
  await log.close();
  state.dispose();
  return { keys, cpuMs: (user + system) / 1000, wallMs, longestMs };
}

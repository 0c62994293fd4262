/** Ingest without a broker: record sets as fetched → opened → read → judged → emitted → committed, each step by the clock. */
import { loadSettings } from '../../src/config.ts';
import { Decoder } from '../../src/operators/decode.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { IngestStage } from '../../src/topology/ingest.ts';
import { ColumnBatch } from '../../src/topology/sources/column-batch.ts';
import { columnsInPlace, releaseOf } from '../../src/topology/sources/kafkajs-decoding.ts';
import { openRecordSet } from '../../src/topology/sources/record-set.ts';
import { responses } from '../../src/topology/sources/response-pool.ts';
import type { Stream } from '../../src/topology/types.ts';
import { check, DAY, eachKeyBlock, fillKeys, HOUR, his, los } from '../figures.ts';
import { REPEAT_EVERY, recordSets } from './impressions.ts';
import { Profile } from './profile.ts';
import type { Expense } from './protocol.ts';

export interface StagePlan {
  stream: Stream;
  records: number;
  campaigns: number;
  /** In the dedup state before; a fifth of them among the suspects, of the last minutes. */
  keys: number;
  profile: boolean;
}

export interface StageFigures {
  /** Seconds a million records. */
  receive: number;
  open: number;
  read: number;
  process: number;
  emit: number;
  commit: number;
  cpu: number;
  longestMs: number;
  expenses: Expense[];
}

/** Of event time, that those live in that are there before. */
const SUSPECTS_MS = 300_000;
const BASE_MS = 20_000 * DAY;
/** By this rate it is time to emit. */
const PER_SECOND = 500_000;
const FEED = { contactMs: () => 0, endReachedMs: () => null };
const OUTPUTS = { partials: 'p', duplicates: 'd', late: 'l', invalid: 'i', violations: 'v', unique: null };

type Laps = Record<'receive' | 'open' | 'read' | 'process' | 'emit' | 'commit', number>;

/** The first half is to warm up; the figures are of the second. */
export async function measureStages({ stream, records, campaigns, keys, profile }: StagePlan): Promise<StageFigures> {
  const stage = freshStage(stream);
  prefill(stage, keys);
  const sets = [...recordSets(stream, { count: records, campaigns, baseMs: BASE_MS })];
  const half = sets.length >> 1;
  const run = new StageRun(stage, records);
  await run.take(sets.slice(0, half));
  const before = run.seen;
  run.begin();
  const cpu = process.cpuUsage();
  const running = profile ? await Profile.begin() : null;
  await run.take(sets.slice(half));
  const expenses = (await running?.end()) ?? [];
  const { user, system } = process.cpuUsage(cpu);
  check('duplicates', stage.state.totals.dispositions[1], repeatsOf(records));
  check('accepted', stage.state.totals.dispositions[0], records - repeatsOf(records));
  const million = (run.seen - before) / 1e6;
  const laps = Object.fromEntries(Object.entries(run.laps).map(([name, ms]) => [name, ms / 1000 / million])) as Laps;
  return { ...laps, cpu: (user + system) / 1e6 / million, longestMs: run.longestMs, expenses };
}

const repeatsOf = (records: number): number => Math.floor(records / REPEAT_EVERY);

function freshStage(stream: Stream): IngestStage {
  const { time, pace, limits, srm } = loadSettings({}, () => '');
  const { maxSpendMicros } = limits;
  const decoder = new Decoder(stream, { mapping: {}, maxSpendMicros, maxFutureSkewMs: time.maxFutureSkewMs });
  const place = { stream, topic: stream, partition: 0, partitions: 1, partialsPartitions: 8 };
  const hash = new SeededHash(new Uint8Array(8));
  const stage = new IngestStage({ ...place, decoder, hash, budget: new MemoryBudget(), time, pace, limits, srm, outputs: OUTPUTS });
  stage.begin(0);
  return stage;
}

function prefill({ state }: IngestStage, keys: number): void {
  for (let from = 0; from < keys; from += his.length) {
    fillKeys(from);
    for (let i = 0; i < his.length; i++) {
      state.dedup.addIfAbsent(his[i], los[i], BASE_MS - HOUR);
    }
    if (from < keys / 5) eachKeyBlock(BASE_MS - Math.floor((SUSPECTS_MS * 5 * from) / keys), (block) => state.suspects.addBlock(block));
  }
}

class StageRun {
  laps: Laps = { receive: 0, open: 0, read: 0, process: 0, emit: 0, commit: 0 };
  seen = 0;
  longestMs = 0;
  readonly #stage: IngestStage;
  readonly #endOffset: number;
  #at = 0;

  constructor(stage: IngestStage, endOffset: number) {
    this.#stage = stage;
    this.#endOffset = endOffset;
  }

  begin(): void {
    this.laps = { receive: 0, open: 0, read: 0, process: 0, emit: 0, commit: 0 };
    this.longestMs = 0;
  }

  async take(sets: readonly Buffer[]): Promise<void> {
    for (const set of sets) {
      const startedMs = performance.now();
      this.#at = startedMs;
      await this.#takeOne(set);
      this.longestMs = Math.max(this.longestMs, performance.now() - startedMs);
    }
  }

  async #takeOne(set: Buffer): Promise<void> {
    const stage = this.#stage;
    const response = responses.take(set.length);
    response.set(set);
    this.#lap('receive');
    const opened = await openRecordSet(response);
    const { nextOffset, byteLength } = opened;
    this.#lap('open');
    const records = columnsInPlace(opened, this.seen, []);
    const release = releaseOf(opened, records);
    this.seen += records.size;
    this.#lap('read');
    const now = { monotonicMs: (this.seen / PER_SECOND) * 1000, wallMs: 0 };
    const place = { topic: stage.stream, partition: 0, nextOffset, endOffset: this.#endOffset, byteLength };
    stage.process(new ColumnBatch(place, records), now);
    this.#lap('process');
    while (stage.prepare(now, FEED, false));
    const out = stage.emit(now, FEED, false);
    this.#lap('emit');
    if (out) stage.takeCommit();
    this.#lap('commit');
    release();
  }

  #lap(name: keyof Laps): void {
    const nowMs = performance.now();
    this.laps[name] += nowMs - this.#at;
    this.#at = nowMs;
  }
}

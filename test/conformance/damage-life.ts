/** A task's life over a fixed log of records, owner after owner, and what it must have counted at the end. */
import { FILE_SCHEMA } from '../../src/config.ts';
import { codeOf } from '../../src/errors.ts';
import { Decoder } from '../../src/operators/decode.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { checkHeader } from '../../src/state/header.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { MemoryStateStore } from '../../src/state/memory-store.ts';
import { IngestStage } from '../../src/topology/ingest.ts';
import { unpacked } from '../../src/topology/packed-records.ts';
import { placeStage } from '../../src/topology/place-stage.ts';
import { ListedBatch, type ListedRecord } from '../../src/topology/sources/listed-batch.ts';
import type { Commit, CommitLog, StateHeader, StateStore, Stream } from '../../src/topology/types.ts';
import { at, Fed, heardAt } from '../topology/fed.ts';
import { HEADER, TASK } from './commit-log.ts';
import type { Damage, DamageBench } from './damage.ts';

const START = Date.UTC(2026, 2, 2, 10);
const PARTIALS = 'exposure-stream.partials';
const COMMITS = 12;
const { time, pace, limits, srm, streams } = FILE_SCHEMA.parse({});

export interface LifeOptions {
  stream: Stream;
  alone?: boolean;
}

/** What was counted: a verdict for every record, every key that is remembered, and what evaluate shows. */
export interface Picture {
  dispositions: number[];
  [name: string]: unknown;
}

export class Life {
  readonly stream: Stream;
  readonly records: readonly ListedRecord[];
  /** Records a commit. */
  readonly step = 20;
  readonly #alone: boolean;
  /** Evaluate hears every owner, zombies included, as in a cluster. */
  readonly evaluate = new Fed();

  constructor({ stream, alone = false }: LifeOptions) {
    this.stream = stream;
    this.#alone = alone;
    this.records = Array.from({ length: this.step * COMMITS }, (_, i) => recordOf(stream, i));
  }

  get end(): number {
    return this.records.length;
  }

  /** Where the first owner's snapshot begins, where the second one begins, and where it ends: the rest is not committed. */
  get snapshotAt(): number {
    return 3 * this.step;
  }
  get movedAt(): number {
    return 7 * this.step;
  }
  get leftAt(): number {
    return 10 * this.step;
  }

  /** Three commits, a snapshot of two, two more; then, unless `alone`, another owner with three. */
  async played<B extends DamageBench>(bench: B, { meanwhile, later }: Pick<Damage<B>, 'meanwhile' | 'later'> = {}): Promise<Life> {
    const first = await Owner.open(this, bench.process());
    await first.until(this.snapshotAt);
    await first.log.beginSnapshot();
    first.stage.beginSnapshot();
    first.stage.snapshotSlice(this.step);
    await first.until(this.snapshotAt + this.step);
    while (!first.stage.snapshotSlice(Number.POSITIVE_INFINITY));
    await first.until(this.snapshotAt + 2 * this.step);
    await first.log.endSnapshot();
    await first.until(this.movedAt);
    if (this.#alone) return this;
    const second = await Owner.open(this, bench.process());
    await meanwhile?.(bench, first, second);
    await second.until(this.movedAt + this.step);
    await later?.(bench, first, second);
    await second.until(this.leftAt);
    return this;
  }

  /** One owner without any end or damage. */
  truth(): Picture {
    const known = TRUTHS[this.stream] ?? new Life({ stream: this.stream }).#count();
    TRUTHS[this.stream] = known;
    return known;
  }

  #count(): Picture {
    const { stage } = Owner.over(this, new SeededHash(SEED));
    stage.begin(0);
    stage.owned(1, at(0));
    for (let from = 0; from < this.end; from += this.step) {
      Owner.process(this, stage, from, from + this.step);
      stage.takeCommit();
    }
    return pictureOf(this, stage);
  }
}

const TRUTHS: Record<string, Picture> = {};
const SEED = new TextEncoder().encode('thetruth');

/** Copies, contaminated units and late records are among them. */
function recordOf(stream: Stream, i: number): ListedRecord {
  const mixed = Math.imul(i + 1, 0x9e37_79b1) >>> 0;
  const copied = i > 10 && mixed % 4 === 0 ? mixed % i : i;
  const lateMs = mixed % 11 === 0 ? 40 * 60_000 : 0;
  const common = { event_id: `event ${copied}`, event_ts: START + copied * 5000 - lateMs };
  const event =
    stream === 'impressions'
      ? { ...common, campaign_id: `c${copied % 4}`, spend_micros: 1 + (copied % 97) }
      : { ...common, experiment_id: `e${copied % 5}`, variant_id: `v${copied % 3}`, unit_id: `u${mixed % 80}` };
  return { offset: i, timestampMs: START + 3_600_000, key: Buffer.from('k'), value: Buffer.from(JSON.stringify(event)) };
}

export class Owner {
  readonly life: Life;
  readonly log: CommitLog;
  readonly header: StateHeader;
  readonly stage: IngestStage;

  private constructor(life: Life, { log, header, stage }: { log: CommitLog; header: StateHeader; stage: IngestStage }) {
    this.life = life;
    this.log = log;
    this.header = header;
    this.stage = stage;
  }

  /** A new stage over the life's input. */
  static over({ stream }: Life, hash: SeededHash): { stage: IngestStage } {
    const decoder = new Decoder(stream, {
      mapping: streams[stream].fields,
      maxSpendMicros: limits.maxSpendMicros,
      maxFutureSkewMs: 3_600_000,
    });
    const outputs = { partials: PARTIALS, duplicates: 'd', late: 'l', invalid: 'i', violations: 'v', unique: null };
    const place = { stream, topic: stream, partition: 0, partitions: 1, partialsPartitions: 1 };
    return { stage: new IngestStage({ ...place, decoder, hash, budget: new MemoryBudget(), time, pace, limits, srm, outputs }) };
  }

  /** Claims, restores and goes where the task would go. */
  static async open(life: Life, store: StateStore, inputBegins = 0): Promise<Owner> {
    const hash = new SeededHash(await store.hashSeed());
    const header = { ...HEADER, hashSeedId: hash.id };
    const log = store.open(TASK);
    const claim = await log.claim(header);
    if (claim.previous) checkHeader(claim.previous, header);
    const { stage } = Owner.over(life, hash);
    let hasState = false;
    for await (const commit of claim.commits()) {
      for (const _ of stage.restore(commit));
      hasState = true;
    }
    const bounds = { first: inputBegins, end: life.end, committed: life.leftAt };
    placeStage(stage, { task: TASK, hasState, bounds, acceptStateLoss: false });
    stage.owned(claim.id, at(0));
    return new Owner(life, { log, header, stage });
  }

  /** What the next owner has at the end of the log, or the code of what stopped it. */
  static async recount(life: Life, store: StateStore, inputBegins = 0): Promise<Picture | string> {
    let owner: Owner;
    try {
      owner = await Owner.open(life, store, inputBegins);
    } catch (error) {
      if (codeOf(error) === 'unexpected') throw error;
      return codeOf(error);
    }
    await owner.until(life.end);
    return pictureOf(life, owner.stage);
  }

  static process(life: Life, stage: IngestStage, from: number, to: number): void {
    const place = { topic: life.stream, partition: 0, nextOffset: to, endOffset: life.end, byteLength: 0 };
    stage.process(new ListedBatch(place, life.records.slice(from, to)), at(to));
    for (const { topic, value } of unpacked(stage.emit(at(to), heardAt(to), true) ?? [])) if (topic === PARTIALS) life.evaluate.raw(value);
    stage.delivered(undefined, at(to));
  }

  async until(offset: number): Promise<void> {
    while (this.stage.position < offset) await this.log.append(this.next());
  }

  /** The commit that comes next, delivered but not appended. */
  next(): Commit {
    const { stage, life } = this;
    Owner.process(life, stage, stage.position, Math.min(life.end, (Math.floor(stage.position / life.step) + 1) * life.step));
    return kept(stage.takeCommit());
  }
}

/** A commit that leads where the next one of this owner would, made by somebody who knows nothing: who believes it counts wrong. */
export async function poison(owner: Owner, from = owner.stage.position): Promise<Commit> {
  const ignorant = await Owner.open(new Life({ stream: owner.life.stream }), new MemoryStateStore());
  return { ...kept(ignorant.stage.takeCommit()), from, to: from + owner.life.step };
}

/** Its bytes are the stage's own, and written over by the next commit. */
const kept = (commit: Commit): Commit => ({ ...commit, changes: commit.changes.slice() });

/** Appends a commit that adds nothing but what is known: a whole snapshot. */
export async function standingStill({ stage, log }: Owner): Promise<Commit> {
  stage.beginSnapshot();
  stage.snapshotSlice(Number.POSITIVE_INFINITY);
  const commit = kept(stage.takeCommit());
  await log.append(commit);
  return commit;
}

/** Ends the stage: at last it is given the whole log once more, of which it must accept nothing. */
function pictureOf(life: Life, stage: IngestStage): Picture {
  const { state } = stage;
  const units: Record<string, number> = {};
  state.units.forEach((experiment, _hi, _lo, payload) => {
    const name = `${experiment} ${payload}`;
    units[name] = (units[name] ?? 0) + 1;
  });
  const buckets = new Map<number, number>();
  state.dedup.forEach((_hi, _lo, bucket) => {
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  });
  const counted = {
    dispositions: [...state.totals.dispositions],
    sums: { ...state.totals.sums },
    watermarkMs: state.watermark.ms,
    keys: [...buckets].sort(([a], [b]) => a - b),
    suspects: state.suspects.size,
    // Numbers of experiments and variants come in order of appearance, which is the log's.
    units,
    shown: life.evaluate.shown(),
  };
  Owner.process(life, stage, 0, life.end);
  return { ...counted, again: [...state.totals.dispositions] };
}

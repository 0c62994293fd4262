/** Evaluate alone, fed with what ingest would send. */
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import type { MakePart } from '../../src/topology/evaluate-part.ts';
import { EVALUATE_PARTS } from '../../src/topology/evaluate-parts.ts';
import type { Registered } from '../../src/topology/evaluate-registered.ts';
import { PartialBody, writeGroupName } from '../../src/topology/partial-body.ts';
import { CELLS, type CellName, type GroupName, type Mark } from '../../src/topology/partials.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';
import type { Commit, CounterOutcome, CounterWrite, Now } from '../../src/topology/types.ts';
import { PARTIALS, START, Story } from './drive.ts';

export const { pace, pacing, limits, srm } = new Story().settings;
/** What a write that went well says, at the start of every story. */
export const FINE: CounterOutcome = { refused: [], dataLost: false, kept: [], timeMs: START };
export const at = (monotonicMs: number): Now => ({ monotonicMs, wallMs: START + monotonicMs });
export const heardAt = (ms: number) => ({ contactMs: () => ms, endReachedMs: () => null });

/** What is registered: one zone for all. */
export const zoned = (zone: string, version = 0): Registered => ({
  campaigns: new Map(),
  budgets: new Map(),
  curveShares: new Map(),
  version,
  epoch: 3,
  asOfMs: START,
  loadedMonotonicMs: 0,
  zonesOf: () => [{ fromMs: Number.NEGATIVE_INFINITY, zone }],
});

export interface Cell {
  name: CellName;
  group: Partial<GroupName> & { entity: string };
  atMs: number;
  values: number[];
  /** Of `segmentUnits`: `dimension\0value`. */
  segment?: string;
}

export const spend = (entity: string, micros: number, atMs = START): Cell => ({
  name: 'spend',
  group: { entity },
  atMs,
  values: [micros, 1],
});
export const units = (entity: string, variant: string, n: number): Cell => ({
  name: 'unitsTotal',
  group: { entity, version: 1, variant },
  atMs: 0,
  values: [n],
});

export interface FedOptions {
  registered?: Registered | null;
  /** Begins at this offset, having lost what was before it. */
  lostBefore?: number;
  /** Restored from these. */
  commits?: readonly Commit[];
  parts?: readonly MakePart[];
}

export class Fed {
  readonly stage: EvaluateStage;
  /** Keys that the last `writes` would have set to 0 where they exist. */
  takenBack: string[] = [];
  /** Kafka time of the records, after START. */
  laterMs = 0;
  #offset: number;

  constructor({ registered = zoned('UTC'), lostBefore = 0, commits = [], parts = EVALUATE_PARTS }: FedOptions = {}) {
    this.stage = new EvaluateStage({ topic: PARTIALS, partition: 0, partialsPartitions: 1, pace, pacing, limits, srm, parts });
    if (registered) this.stage.register(registered);
    for (const commit of commits) for (const _ of this.stage.restore(commit));
    if (commits.length === 0) this.stage.begin(lostBefore, lostBefore > 0);
    this.#offset = this.stage.position;
    this.stage.owned();
  }

  /** Cells and a mark of impressions/0, the only partition, unless the mark says otherwise. */
  take(cells: Cell[], given: Partial<Mark> = {}, of = { part: 0, parts: 1 }): void {
    const body = new PartialBody();
    cells.forEach(({ name, group, atMs, values, segment = '' }, i) => {
      const { slotMs } = CELLS[name];
      const plain = slotMs === 0 ? 0 : Math.floor(atMs / slotMs);
      const time = body.time(name, name === 'segmentUnits' ? cells.length + i : plain, (_, to) =>
        writeGroupName({ entity: '', version: 0, variant: segment }, to),
      );
      const out = body.cell(CELLS[name].kind, i, (_, to) => writeGroupName({ version: 0, variant: '', ...group }, to));
      for (const value of [time, ...values]) out.varint(value);
    });
    const { stream = 'impressions' } = given;
    const place = { topic: stream, partition: 0, stream, partitions: 1 } as const;
    const counted = {
      origin: 0,
      position: this.#offset,
      watermarkMs: null,
      idle: false,
      endAgeMs: null,
      lastRecordMs: null,
      oldestRecordMs: null,
    };
    this.raw(body.take({ ...place, ...counted, claim: 1, emission: this.#offset, ...given, ...of }));
  }

  raw(value: Uint8Array | null): void {
    const offset = this.#offset++;
    const place = { topic: PARTIALS, partition: 0, nextOffset: offset + 1, endOffset: offset + 1, byteLength: 0 };
    this.stage.process(new ListedBatch(place, [{ offset, timestampMs: START + this.laterMs, key: null, value }]));
  }

  /** Keys written now, null when nothing was to be written. */
  write(now: number, contactMs = now, outcome = FINE): string[] | null {
    const out = this.stage.emit(at(now), heardAt(contactMs), false);
    if (out === null) return null;
    this.stage.delivered(outcome, at(now));
    return out.writes.filter(({ onlyExisting }) => !onlyExisting).map(({ key }) => key);
  }

  /** Everything that has changed, written now. */
  writes(outcome = FINE): CounterWrite[] {
    const out = this.stage.emit(at(0), heardAt(0), true);
    this.stage.delivered(outcome, at(0));
    this.takenBack = (out?.writes ?? []).filter(({ onlyExisting }) => onlyExisting).map(({ key }) => key);
    return (out?.writes ?? []).filter(({ onlyExisting }) => !onlyExisting);
  }

  /** Everything that lives, by key: spendMicros of a day, units of the variants added up. */
  shown(): Record<string, number> {
    this.stage.owned();
    const amount = (fields: Record<string, string>) =>
      Object.entries(fields).reduce((sum, [name, value]) => (/^(spend_|units:)/.test(name) ? sum + Number(value) : sum), 0);
    return Object.fromEntries(this.writes().map(({ key, fields }) => [key, amount(fields)]));
  }

  /** Writes and commits. */
  commit(): Commit {
    this.writes();
    return this.stage.takeCommit();
  }

  /** One commit that is enough to restore from. */
  snapshot(): Commit {
    this.stage.beginSnapshot();
    this.stage.snapshotSlice(Number.POSITIVE_INFINITY);
    return this.commit();
  }

  /** Postgres gets all hours it does not have. */
  flushHours(): void {
    this.stage.takeHours(1e6);
    this.stage.hoursLanded(true);
  }
}

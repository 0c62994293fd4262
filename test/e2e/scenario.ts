/** Traffic with faults through real Kafka into real Redis and Postgres, processes that are killed on the way: is the outside the truth? */
import { setTimeout as sleep } from 'node:timers/promises';
import { generateTraffic, type TrafficSettings } from '../../src/generate/index.ts';
import { Bed, type ServiceUrls } from './bed.ts';
import { type Chaos, makeChaos } from './chaos.ts';
import { wrongHours } from './hours.ts';
import type { Codec, ExactProducer, PlacedRecord } from './kafka.ts';
import { Looks } from './looks.ts';
import { movesOf, SentTwice } from './moves.ts';
import { Fingerprints, SideJudge, type SideReport } from './side-outputs.ts';
import { OFTEN, wearOf, wearOut } from './state-topic.ts';
import { differences, type Expected, expectedOf } from './truth.ts';
import { recordsTotal, type Worker } from './worker.ts';

export interface ScenarioOptions {
  chaos: Chaos;
  /** Beside what each process gets. */
  environment?: Record<string, string>;
  traffic: Partial<TrafficSettings> & { seed: number; partitions: number };
  /** How long producing takes. */
  produceMs: number;
  /** Given up when it is not right so long after the last record. */
  settleMs: number;
  /** The truth must still stand after this long. */
  holdMs: number;
  processes: number;
  /** The others come by the chaos; all when absent. */
  startedAtFirst?: number;
  totalsFlushMs: number;
  /** State in Kafka that is replaced by snapshots and compacted all the time. */
  wornState?: boolean;
  say: (text: string) => void;
}

export interface ScenarioServices extends ServiceUrls {
  restartRedis(): Promise<void>;
}

/** Each check by name with what differs; empty lists are right. */
export interface Outcome {
  checks: Record<string, string[]>;
  figures: Record<string, number | null>;
  side: SideReport;
  ok: boolean;
}

const CODECS: readonly Codec[] = ['none', 'lz4', 'zstd', 'snappy', 'gzip'];
const TICK_MS = 50;
/** kafkajs's gzip takes time by the square of the batch. */
const MOST_IN_BATCH = 5000;
const LOOK_MS = 1000;

export async function runScenario(services: ScenarioServices, options: ScenarioOptions): Promise<Outcome> {
  const { traffic, say } = options;
  const expected = expectedOf(traffic);
  const judged = [...expected.records].reduce((sum, [name, count]) => sum + (name.endsWith('/accepted') ? count : 0), 0);
  say(`${grouped(expected.total)} records judged by generator and oracle, ${grouped(judged)} of them accepted`);
  const settings = { pace: { totalsFlushMs: options.totalsFlushMs }, ...(options.wornState ? { limits: OFTEN } : {}) };
  const bed = await Bed.open(services, { partitions: traffic.partitions, settings });
  if (options.wornState) await wearOut(bed);
  const looks = new Looks(services.redisUrl, bed.keyPrefix, expected.amounts);
  try {
    const workers = Array.from({ length: options.processes }, (_, i) => bed.worker(`run-${i + 1}`, options.environment));
    const first = workers.slice(0, options.startedAtFirst).map((worker) => worker.start());
    await Promise.all(first.map((worker) => worker.ready()));
    return await new Scenario({ bed, looks, workers, expected, services, options }).run();
  } finally {
    looks.close();
    await bed.close();
  }
}

interface ScenarioParts {
  bed: Bed;
  looks: Looks;
  workers: Worker[];
  expected: Expected;
  services: ScenarioServices;
  options: ScenarioOptions;
}

class Scenario {
  readonly #parts: ScenarioParts;
  readonly #sources = new Fingerprints();
  readonly #exits = new Set<string>();
  /** Fingerprint of a record → how many processes had ended when it was first sent. */
  readonly #firstSent = new Map<number, number>();
  readonly #sentTwice = new SentTwice();
  #ended = 0;
  #duplicatesAcrossEnds = 0;
  #sent = 0;
  #looking = true;

  constructor(parts: ScenarioParts) {
    this.#parts = parts;
  }

  async run(): Promise<Outcome> {
    const { bed, looks, workers, expected, options } = this.#parts;
    const began = performance.now();
    const looking = this.#look();
    await Promise.all([this.#produce(await bed.producer()), this.#chaos()]);
    const producedMs = performance.now() - began;
    options.say(`all sent after ${seconds(producedMs)} s`);
    const settledMs = await this.#settled();
    const records = await this.#eventually(async () => differences('records_total', await recordsTotal(workers), expected.records));
    const hours = await this.#eventually(() => wrongHours(bed.services.databaseUrl, expected.hours));
    const expiry = await looks.wrongExpiry();
    await this.#terminateAll();
    this.#looking = false;
    await looking;
    const redis = await looks.wrong();
    const side = await new SideJudge(bed, expected.oracle, this.#sources).read();
    const moves = movesOf(bed, workers);
    const wear = options.wornState ? await wearOf(bed) : null;
    const checks = {
      'generator and oracle agree': expected.disagreements,
      'spend: and exposed: in Redis': settledMs === null ? ['not right, or not to stay, in time', ...redis] : redis,
      'never above the truth, never back': [...looks.faults],
      'expiry in Redis': expiry,
      'records_total over all processes': records,
      'hourly views in Postgres': hours,
      'side outputs': side.faults,
      'state was replaced by snapshots': wear?.compacted === 0 ? [`nothing was compacted away, ${wear.records} records are there`] : [],
      'ends of processes': [...this.#exits, ...workers.flatMap(({ unexpected }) => unexpected)],
    };
    const figures = {
      records: this.#sent,
      values: expected.amounts.size,
      looks: looks.count,
      produced_s: seconds(producedMs),
      settled_s: settledMs === null ? null : seconds(settledMs),
      ended_processes: this.#ended,
      duplicates_across_ends: this.#duplicatesAcrossEnds,
      moves: moves.length,
      duplicates_across_moves: this.#sentTwice.straddling(moves),
      side_repeats: side.repeats,
      state_compacted: wear?.compacted ?? null,
      state_tombstones: wear?.tombstones ?? null,
    };
    return { checks, figures, side, ok: Object.values(checks).every((lines) => lines.length === 0) };
  }

  /** The same traffic made anew, at an even rate, each stretch with another codec. */
  async #produce(producer: ExactProducer): Promise<void> {
    const { expected, options } = this.#parts;
    const records = generateTraffic(options.traffic)[Symbol.iterator]();
    const began = performance.now();
    while (this.#sent < expected.total) {
      const share = Math.min(1, (performance.now() - began + TICK_MS) / options.produceMs);
      const due = Math.ceil(share * expected.total) - this.#sent;
      const batch: PlacedRecord[] = [];
      while (batch.length < Math.min(due, MOST_IN_BATCH)) {
        const { value: record } = records.next();
        if (!record) break;
        const fingerprint = this.#sources.add(record);
        this.#note(fingerprint);
        this.#sentTwice.note(record, fingerprint, Date.now());
        batch.push(record);
      }
      await producer.send(batch, CODECS[Math.floor(share * 20) % CODECS.length]);
      this.#sent += batch.length;
      if (due <= MOST_IN_BATCH) await sleep(TICK_MS);
    }
  }

  /** Same key and bytes as before the last end of a process: a duplicate that only its state can know. */
  #note(fingerprint: number): void {
    const first = this.#firstSent.get(fingerprint);
    if (first === undefined) this.#firstSent.set(fingerprint, this.#ended);
    else if (first < this.#ended) this.#duplicatesAcrossEnds++;
  }

  #chaos(): Promise<void> {
    const { looks, workers, services, expected, options } = this.#parts;
    const restartRedis = async (): Promise<void> => {
      looks.forget();
      await services.restartRedis();
      looks.forget();
    };
    return makeChaos({
      chaos: options.chaos,
      workers,
      share: () => this.#sent / expected.total,
      restartRedis,
      ended: () => this.#ended++,
      say: options.say,
      faults: this.#exits,
    });
  }

  async #look(): Promise<void> {
    const { looks, expected, options } = this.#parts;
    for (let told = performance.now(); this.#looking; await sleep(LOOK_MS)) {
      const wrong = await looks.wrong();
      if (performance.now() - told < 5000) continue;
      told = performance.now();
      const right = grouped(expected.amounts.size - wrong.length);
      options.say(`${grouped(this.#sent)} of ${grouped(expected.total)} sent; ${right} of ${expected.amounts.size} values final`);
    }
  }

  /** Ms until every value was right and stayed so; null when that did not come. */
  async #settled(): Promise<number | null> {
    const { looks, options } = this.#parts;
    const began = performance.now();
    let rightSince: number | null = null;
    while (performance.now() - began < options.settleMs) {
      const right = (await looks.wrong()).length === 0;
      rightSince = right ? (rightSince ?? performance.now()) : null;
      if (rightSince !== null && performance.now() - rightSince >= options.holdMs) return rightSince - began;
      await sleep(250);
    }
    return null;
  }

  /** The metrics and Postgres may come a little after Redis. */
  async #eventually(look: () => Promise<string[]>): Promise<string[]> {
    const deadline = performance.now() + 45_000;
    let lines = await look();
    while (lines.length > 0 && performance.now() < deadline) {
      await sleep(500);
      lines = await look();
    }
    return lines;
  }

  async #terminateAll(): Promise<void> {
    const alive = this.#parts.workers.filter((worker) => worker.alive);
    const ends = alive.map(async (worker) => ({ worker, code: await worker.terminate() }));
    for (const { worker, code } of await Promise.all(ends)) if (code !== 0) this.#exits.add(`${worker.name} at the end: exit ${code}`);
  }
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10;
export const grouped = (value: number): string => value.toLocaleString('en-US');

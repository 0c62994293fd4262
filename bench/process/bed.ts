/** A broker, fresh topics, measured processes on a core of their own, and a look at what they have written. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteReader } from '../../src/state/bytes.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { CELLS, type CellName, type GroupName, PARTIAL_MAGIC, readCells, readGroupName, readHeader } from '../../src/topology/partials.ts';
import { kafkaClient } from '../../src/topology/sources/kafka-client.ts';
import { KafkaSource } from '../../src/topology/sources/kafka-source.ts';
import { createTopics } from '../../src/topology/sources/kafka-topics.ts';
import { type PartitionFeed, RecordView } from '../../src/topology/types.ts';
import { AssignmentRecorder } from '../../test/conformance/source.ts';
import { onPath } from '../../test/services/tools.ts';
import { check } from '../figures.ts';
import { campaignName } from './impressions.ts';
import type { Expected } from './load.ts';
import type { FromWorker, Measured, WorkerPlan } from './protocol.ts';

const PARTIALS_PARTITIONS = 4;
const SIDES = ['duplicates', 'late', 'invalid', 'violations'];
const nothing = (): void => undefined;
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };
const WORKER = join(import.meta.dirname, 'worker.ts');
/** Threads of V8 as in the image: one on one core. */
const NODE_OPTIONS = ['--disable-warning=TimeoutNegativeWarning', '--v8-pool-size=0'];
/** Where there are two cores and a way to choose: this process, and what it starts, stays off the measured ones. */
const CAN_PIN = cpus().length > 1 && onPath('taskset') !== undefined;

/** Keeps this process, and the services it starts from now on, on the last core. */
export function makeRoom(): string {
  if (!CAN_PIN) return 'processes are not pinned to cores here';
  const last = cpus().length - 1;
  moveTo(last);
  return `measured processes on core 0 (and on), everything else on core ${last}`;
}

/** Where this process itself is measured: on core 0 meanwhile, as the others are. */
export async function onMeasuredCore<Result>(measure: () => Promise<Result>): Promise<Result> {
  if (!CAN_PIN) return measure();
  moveTo(0);
  try {
    return await measure();
  } finally {
    moveTo(cpus().length - 1);
  }
}

const moveTo = (core: number): void => {
  execFileSync('taskset', ['-a', '-p', '-c', String(core), String(process.pid)]);
};

export class Run {
  readonly topic: string;
  readonly partials: string;
  readonly #brokers: string;
  readonly #prefix: string;
  /** Of all its processes: what moves between them finds its state. */
  readonly #stateDir: string;
  readonly #workers: Worker[] = [];

  private constructor(brokers: string, prefix: string, stateDir: string) {
    this.#brokers = brokers;
    this.#prefix = prefix;
    this.#stateDir = stateDir;
    this.topic = `${prefix}impressions`;
    this.partials = `${prefix}partials`;
  }

  static async open(brokers: string, name: string, partitions: number): Promise<Run> {
    const run = new Run(brokers, `bench.${name}.`, await mkdtemp(join(tmpdir(), 'exposure-stream-bench-')));
    const kafka = kafkaClient({ brokers: brokers.split(','), clientId: 'bench' }, SILENT);
    const keep = { 'retention.ms': '-1' };
    await createTopics(kafka, [
      { name: run.topic, partitions, settings: keep },
      { name: run.partials, partitions: PARTIALS_PARTITIONS, settings: { ...keep, 'message.timestamp.type': 'LogAppendTime' } },
      ...SIDES.map((side) => ({ name: run.#prefix + side, partitions: 1, settings: keep })),
    ]);
    return run;
  }

  /** Starts a measured process and waits until it has its state. */
  async start(plan: Partial<WorkerPlan> & { records: number; baseMs: number }, core = 0): Promise<Worker> {
    const full: WorkerPlan = {
      brokers: this.#brokers,
      topic: this.topic,
      partials: this.partials,
      group: this.#prefix,
      stream: 'impressions',
      decoder: 'in_place',
      keys: 0,
      stateDir: this.#stateDir,
      tasks: 1,
      profile: false,
      redisUrl: null,
      keyPrefix: this.#prefix,
      fetchBytes: null,
      ...plan,
    };
    const worker = await Worker.start(full, core);
    this.#workers.push(worker);
    return worker;
  }

  /** Throws unless spend and impressions in `.partials` are what they should be, campaign by campaign. */
  async verify(expected: Expected): Promise<void> {
    const spend = new Map<string, number>();
    let impressions = 0;
    for (const { entity, values } of (await this.#cells('spend')).values()) {
      spend.set(entity, (spend.get(entity) ?? 0) + values[0]);
      impressions += values[1];
    }
    check('impressions in .partials', impressions, expected.accepted);
    for (const [i, micros] of expected.spendMicros.entries()) check(`spend of ${campaignName(i)}`, spend.get(campaignName(i)) ?? 0, micros);
  }

  /** The same for exposures, of which each accepted one is a unit of its own. */
  async verifyUnits(expected: Expected): Promise<void> {
    let units = 0;
    for (const { values } of (await this.#cells('unitsTotal')).values()) units += values[0];
    check('units in .partials', units, expected.accepted);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    const admin = kafkaClient({ brokers: this.#brokers.split(','), clientId: 'bench' }, SILENT).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [this.topic, this.partials, ...SIDES.map((side) => this.#prefix + side)] });
    await admin.disconnect();
    await rm(this.#stateDir, { recursive: true, force: true });
  }

  /** The last values of each cell of a kind. */
  async #cells(kind: CellName): Promise<Map<string, LastCell>> {
    const kafka = kafkaClient({ brokers: this.#brokers.split(','), clientId: 'bench' }, SILENT);
    const clock = new SystemClock();
    const source = new KafkaSource(kafka, { groupId: `${this.#prefix}verify`, topics: [this.partials], clock, logger: SILENT });
    const recorder = new AssignmentRecorder();
    const assigned = recorder.nextFeeds();
    await source.start(recorder);
    const cells = new Map<string, LastCell>();
    for (const feed of await assigned) await readAll(feed, kind, cells);
    await source.stop();
    return cells;
  }
}

interface LastCell {
  entity: string;
  values: number[];
}

async function readAll(feed: PartitionFeed, kind: CellName, cells: Map<string, LastCell>): Promise<void> {
  const { end } = await feed.bounds();
  feed.seek(0);
  const view = new RecordView();
  for (let at = 0; at < end; ) {
    const batch = await feed.poll(1000);
    if (batch === null) continue;
    at = batch.nextOffset;
    while (batch.next(view)) takeCells(view, kind, cells);
  }
}

function takeCells({ value, valueStart, valueEnd }: RecordView, kind: CellName, cells: Map<string, LastCell>): void {
  // What evaluate's tasks tell each other lies there too.
  if (value === null || value[valueStart] !== PARTIAL_MAGIC) return;
  const from = new ByteReader(value, valueStart, valueEnd);
  const { partition } = readHeader(from);
  const names: GroupName[] = [];
  readCells(from, {
    groups: ({ bytes, size, starts, ends, indices }) => {
      for (let i = 0; i < size; i++) indices[i] = names.push(readGroupName(new ByteReader(bytes, starts[i], ends[i]))) - 1;
    },
    cells: ({ name, size, groups, times, values }) => {
      const { columns } = CELLS[name];
      for (let i = 0; name === kind && i < size; i++) {
        const { entity, version, variant } = names[groups[i]];
        const last = { entity, values: [...values.subarray(i * columns, (i + 1) * columns)] };
        cells.set(JSON.stringify([partition, times[i], entity, version, variant]), last);
      }
    },
  });
}

export class Worker {
  readonly #child: ChildProcess;
  readonly #measured: Promise<Measured>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#measured = new Promise((resolve, reject) => {
      child.on('message', (message: FromWorker) => {
        if ('measured' in message) resolve(message.measured);
      });
      child.on('exit', (code) => reject(new Error(`a measured process ended with ${code}`)));
    });
    // Awaited later, or never when something else has failed.
    this.#measured.catch(nothing);
  }

  static async start(plan: WorkerPlan, core: number): Promise<Worker> {
    const args = [...NODE_OPTIONS, WORKER, JSON.stringify(plan)];
    const [command, all] = CAN_PIN ? ['taskset', ['-c', String(core), process.execPath, ...args]] : [process.execPath, args];
    const child = spawn(command as string, all as string[], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const worker = new Worker(child);
    await Promise.race([once(child, 'message'), worker.#measured]);
    return worker;
  }

  measured(): Promise<Measured> {
    return this.#measured;
  }

  /** It counts on until then. */
  async stop(): Promise<void> {
    if (!this.#child.connected) return;
    const ended = once(this.#child, 'exit');
    this.#child.send({ stop: true });
    await ended;
  }
}

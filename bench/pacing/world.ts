/** The production pipeline over ports in memory, the real gate before its Redis, and a market that bids by it. */
import { AlertRows, MemoryAlertStore } from '../../src/alerts/store.ts';
import { type FileSettings, loadSettings } from '../../src/config.ts';
import { PacingGate } from '../../src/gate/gate.ts';
import type { ReaderListener } from '../../src/gate/reader.ts';
import { MemoryTotals, MemoryTotalsStore } from '../../src/sinks/memory-totals.ts';
import { StaticRegistry } from '../../src/sinks/registry.ts';
import { ForgetfulStateStore } from '../../src/state/forgetful-store.ts';
import { MemoryDisk, MemoryStateStore } from '../../src/state/memory-store.ts';
import { type Adjustment, writeAdjustments } from '../../src/topology/adjustments.ts';
import { Pipeline } from '../../src/topology/pipeline.ts';
import { MemoryBroker, MemoryWriter } from '../../src/topology/sources/memory-log.ts';
import { MemorySource } from '../../src/topology/sources/memory-source.ts';
import { STREAMS } from '../../src/topology/types.ts';
import { Random } from '../../test/sim/random.ts';
import { type CampaignSpec, Market, rowsOf, SECOND } from './market.ts';
import { StudyCounters, StudyRedis } from './study-redis.ts';
import { settled, VirtualClock } from './virtual-clock.ts';

const PREFIX = 'exposure-stream.';
const PARTIALS = `${PREFIX}partials`;
const OUTPUTS = ['unique', 'duplicates', 'late', 'invalid', 'violations', 'alerts'];
const NEVER = new Promise<never>(() => undefined);
/** A log in memory is cut when so much of it has been read. */
const KEPT_RECORDS = 20_000;

export const SETTINGS: FileSettings = loadSettings({}, () => '');

export class World {
  readonly clock: VirtualClock;
  readonly redis: StudyRedis;
  readonly registry: StaticRegistry;
  readonly gate: PacingGate;
  readonly market: Market;
  readonly broker: MemoryBroker;
  /** Needed by who starts another process; a day's commits are many. */
  keepsState = false;
  readonly #disk = new MemoryDisk();
  readonly #totals = new MemoryTotalsStore();
  readonly #alerts = new AlertRows();
  readonly #topics: Record<string, number>;
  #kill: () => void = () => undefined;

  constructor(specs: readonly CampaignSpec[], startMs: number, seed: number) {
    this.clock = new VirtualClock(startMs);
    this.redis = new StudyRedis(this.clock);
    this.registry = new StaticRegistry(rowsOf(specs), 1, this.clock);
    this.#topics = { ...Object.fromEntries(STREAMS.map((stream) => [stream, 1])), [PARTIALS]: 1 };
    this.broker = new MemoryBroker(this.clock, { ...this.#topics, ...Object.fromEntries(OUTPUTS.map((name) => [PREFIX + name, 1])) });
    const random = new Random(seed + 1);
    const clock = this.clock.forGate(() => random.next());
    const openReader = (listener: ReaderListener): StudyRedis => {
      queueMicrotask(() => listener.onReady());
      return this.redis;
    };
    this.gate = new PacingGate({ clock, openReader });
    this.market = new Market(specs, startMs, seed, (id) => this.gate.check(id).multiplier);
  }

  /** A process of both stages; it goes on where the last one was. */
  async start(): Promise<void> {
    let isDead = false;
    this.#kill = () => {
      isDead = true;
    };
    const step = (): Promise<void> => (isDead ? NEVER : Promise.resolve());
    const { broker, clock } = this;
    const counts = new Map(Object.entries(this.#topics));
    const pipeline = new Pipeline(
      {
        ingestSource: new MemorySource(broker, { group: 'ingest', topics: STREAMS, step }),
        evaluateSource: new MemorySource(broker, { group: 'evaluate', topics: [PARTIALS], step }),
        writer: new MemoryWriter(broker, step),
        stateStore: this.keepsState ? new MemoryStateStore({ disk: this.#disk }) : new ForgetfulStateStore(),
        counters: new StudyCounters(this.redis, clock, step),
        totals: new MemoryTotals(this.#totals, step),
        alerts: new MemoryAlertStore(this.#alerts, step),
        registry: this.registry,
        clock,
        partitionCounts: () => Promise.resolve(counts),
      },
      {
        settings: SETTINGS,
        outputUnique: false,
        stateMemoryBytes: Number.POSITIVE_INFINITY,
        acceptStateLoss: false,
        observer: {
          fatal: (error) => {
            throw error;
          },
          failed: (task, error) => {
            if (!isDead) throw new Error(`${task.stage} ${task.topic}/${task.partition} failed`, { cause: error });
          },
        },
      },
    );
    void pipeline.start();
    await settled();
  }

  /** As `kill -9`: none of the process' calls has any more effect. */
  kill(): void {
    this.#kill();
  }

  /** Lets the world go on to that time. `each` is called about every second of it. */
  async goTo(untilMs: number, each: (epochMs: number) => void = () => undefined): Promise<void> {
    const { clock, market } = this;
    let eachMs = clock.epochMs + SECOND;
    for (;;) {
      const wakeMs = clock.nextMs();
      const nextMs = Math.min(wakeMs, market.nextAuctionMs, market.nextImpressionMs, eachMs);
      if (nextMs > untilMs) break;
      clock.at(nextMs);
      if (nextMs === market.nextAuctionMs) market.auction();
      else if (nextMs === market.nextImpressionMs) this.#arrive();
      else if (nextMs === eachMs) {
        each(eachMs);
        eachMs += SECOND;
        this.#cutLogs();
      } else await clock.wakeDue();
    }
    clock.at(untilMs);
  }

  /** What a run of the reconciler sends. */
  adjust(adjustments: readonly Adjustment[]): void {
    for (const value of writeAdjustments(adjustments)) this.broker.append(PARTIALS, 0, { key: null, value });
  }

  /** As Redis has it. */
  spendMicros(campaignId: string, day: string): number {
    return Number(this.redis.field(`spend:{${campaignId}}:${day}`, 'spend_micros') ?? 0);
  }

  #arrive(): void {
    const { json } = this.market.takeImpression();
    this.broker.append('impressions', 0, { key: 'k', value: json });
  }

  #cutLogs(): void {
    for (const topic of ['impressions', PARTIALS]) {
      const log = this.broker.partition(topic, 0);
      const { committed } = this.broker.bounds(topic === PARTIALS ? 'evaluate' : 'ingest', topic, 0);
      if (committed !== null && committed - log.first > KEPT_RECORDS) log.truncate(committed);
    }
  }
}

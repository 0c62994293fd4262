/**
 * `npm run bench:pacing`: on real Kafka, Redis and Postgres, under 20,000 impressions a second: from an impression produced until
 * `stopped` is visible, in Redis and through the bidder's gate; then the same with one of two processors killed.
 */
import { parseArgs } from 'node:util';
import kafkajs from 'kafkajs';
import { openPool } from '../src/sinks/postgres-client.ts';
import { Bed } from '../test/e2e/bed.ts';
import { openKafka } from '../test/e2e/kafka.ts';
import { startServices } from '../test/services/index.ts';
import { makeProbes, PROBE_CAP, type Probe, probeMicros, told, Watch } from './pacing-probes.ts';

const PARTITIONS = 4;
const CAMPAIGNS = 1000;
const TICK_MS = 50;
const PROBE_EVERY_MS = 150;
const TOLERATED_MS = 1000;
const TOLERATED_KILLED_MS = 60_000;

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '20000' },
    probes: { type: 'string', default: '300' },
    refresh: { type: 'string', default: '250' },
  },
});
const rate = Number(values.rate);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends impressions at the rate, and in each tick the probes that are waiting. */
class Load {
  readonly #bed: Bed;
  readonly #producer: kafkajs.Producer;
  #waiting: Probe[] = [];
  #ids = 0;
  sent = 0;
  #over = false;
  #running: Promise<void> = Promise.resolve();

  constructor(bed: Bed) {
    this.#bed = bed;
    this.#producer = openKafka(bed.services.kafkaBrokers).producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  }

  async start(): Promise<void> {
    await this.#producer.connect();
    this.#running = this.#run();
  }

  probe(probe: Probe): void {
    this.#waiting.push(probe);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#running;
    await this.#producer.disconnect();
  }

  async #run(): Promise<void> {
    const startedMs = performance.now();
    while (!this.#over) {
      await sleep(TICK_MS);
      const due = Math.floor(((performance.now() - startedMs) / 1000) * rate);
      const probes = this.#waiting.splice(0);
      const count = Math.min(due - this.sent, rate / 4);
      const messages = Array.from({ length: count }, () => this.#message(`background ${this.#ids % CAMPAIGNS}`, 100));
      for (const probe of probes) messages.push(this.#message(probe.id, probeMicros(probe)));
      this.sent += count;
      for (const probe of probes) probe.sentMs = performance.now();
      if (messages.length > 0) await this.#producer.send({ topic: this.#bed.topic('impressions'), acks: -1, messages });
    }
  }

  #message(campaignId: string, micros: number): { key: string; value: string } {
    const value = `{"event_id":"i${this.#ids++}","campaign_id":"${campaignId}","spend_micros":${micros},"event_ts":${Date.now()},"user_id":"u${this.#ids % 100_000}","surface":"feed"}`;
    return { key: campaignId, value };
  }
}

async function register(bed: Bed, probes: readonly Probe[]): Promise<void> {
  const pool = openPool(bed.services.databaseUrl);
  const campaign = `insert into exposure_stream.campaign (campaign_id, pacing_policy, pacing_curve, valid_from)
    select id, $2, 'accelerated', '2000-01-01' from unnest($1::text[]) id`;
  const budget = `insert into exposure_stream.budget (campaign_id, day_cap_micros, valid_from) select id, $2, '2000-01-01' from unnest($1::text[]) id`;
  const background = Array.from({ length: CAMPAIGNS }, (_, i) => `background ${i}`);
  await pool.query(campaign, [background, 'graceful']);
  for (const policy of ['graceful', 'strict'] as const)
    await pool.query(campaign, [probes.filter((probe) => probe.policy === policy).map(({ id }) => id), policy]);
  await pool.query(budget, [background, 1e15]);
  await pool.query(budget, [probes.map(({ id }) => id), PROBE_CAP]);
  await pool.end();
}

/** Sends them one after the other, and looks until all are seen or the time is over. */
async function run(load: Load, watch: Watch, probes: readonly Probe[], withinMs: number): Promise<void> {
  let sent = 0;
  let nextMs = performance.now();
  for (const untilMs = nextMs + probes.length * PROBE_EVERY_MS + withinMs; performance.now() < untilMs; await sleep(5)) {
    if (sent < probes.length && performance.now() >= nextMs) {
      load.probe(probes[sent++]);
      nextMs += PROBE_EVERY_MS;
    }
    await watch.look(probes);
    watch.keepWarm(probes);
    if (sent === probes.length && probes.every(({ seenMs, gateMs }) => seenMs !== null && gateMs !== null)) return;
  }
}

function report(title: string, probes: readonly Probe[], toleratedMs: number): boolean {
  say(title);
  let isWithin = true;
  for (const policy of ['graceful', 'strict'] as const) {
    const some = probes.filter((probe) => probe.policy === policy);
    const [redis, gate] = [told(some, 'seenMs'), told(some, 'gateMs')];
    say(`  ${policy.padEnd(9)} in Redis          ${redis.text}`);
    say(`  ${''.padEnd(9)} through the gate  ${gate.text}`);
    const worst = toleratedMs === TOLERATED_MS ? Math.max(redis.p99Ms, gate.p99Ms) : Math.max(redis.maxMs, gate.maxMs);
    if (!(worst <= toleratedMs)) isWithin = false;
  }
  return isWithin;
}

async function main(): Promise<number> {
  const services = await startServices();
  const bed = await Bed.open(services, { partitions: PARTITIONS });
  const load = new Load(bed);
  const watch = new Watch(services.redisUrl, bed.keyPrefix, Number(values.refresh));
  try {
    const calm = makeProbes(2 * Number(values.probes));
    const hard = calm.splice(Number(values.probes));
    await register(bed, [...calm, ...hard]);
    const workers = ['one', 'two'].map((name) => bed.worker(name, { OUTPUT_UNIQUE: 'false' }).start());
    for (const worker of workers) await worker.ready(60_000);
    await load.start();
    if (!(await watch.known([...calm, ...hard], 60_000))) throw new Error('not every campaign is told of');
    await sleep(10_000);
    const began = { sent: load.sent, ms: performance.now() };
    await run(load, watch, calm, 10_000);
    const perS = Math.round(((load.sent - began.sent) / (performance.now() - began.ms)) * 1000);
    const title = `From an impression produced until stopped is visible, at ${perS.toLocaleString('en-US')} impressions/s, the gate refreshing every ${values.refresh} ms (aim: p99 ≤ 1 s):`;
    const isSoon = report(title, calm, TOLERATED_MS);
    await workers[0].kill();
    await run(load, watch, hard, 60_000);
    const isWithinAMinute = report(
      'The same from the moment on at which one of two processors was killed (aim: all ≤ 60 s):',
      hard,
      TOLERATED_KILLED_MS,
    );
    say(isSoon && isWithinAMinute ? 'Both aims are met.' : 'NOT met.');
    return isSoon && isWithinAMinute ? 0 : 1;
  } finally {
    await load.stop();
    watch.close();
    await bed.close();
    await services.stop();
  }
}

process.exitCode = await main();

/**
 * The reconciler on real services: traffic is counted by a real process, billing's tables are filled with what billing would
 * have, faults on either side are seeded, and `reconcile` must find each, name it, repair it, and then find nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { generateTraffic, type TrafficSettings } from '../../src/generate/index.ts';
import { PartialBody, writeGroupName } from '../../src/topology/partial-body.ts';
import { CELLS } from '../../src/topology/partials.ts';
import { partitionOf } from '../../src/topology/sources/murmur2.ts';
import { run } from '../services/tools.ts';
import { Bed, type ServiceUrls } from './bed.ts';
import { until } from './until.ts';
import { MAIN, type Worker } from './worker.ts';

const HOUR = 3_600_000;

/** Each in campaigns of its own, so that each is told apart. */
export const FAULTS = ['late_events', 'duplicate_suspected', 'loss_suspected', 'invalid_traffic', 'timezone', 'late_bookings'] as const;
export type Fault = (typeof FAULTS)[number];

export interface FaultPlan {
  traffic: Partial<TrafficSettings>;
  say: (text: string) => void;
}

export interface Ended {
  code: number;
  out: string;
}

export interface Delta {
  campaign_id: string;
  hour: string;
  class: string;
  action: string;
  delta_micros: number;
}

interface HourRow {
  id: string;
  hourMs: number;
  micros: number;
  impressions: number;
  lateRecords: number;
  lateMicros: number;
  suspectedMicros: number;
}

const HOURS = `
  select entity_id as id, extract(epoch from hour)::float8 * 1000 as "hourMs", spend_micros::float8 as micros, impressions::float8 as impressions,
    late_records::float8 as "lateRecords", late_micros::float8 as "lateMicros", suspected_micros::float8 as "suspectedMicros"
  from exposure_stream.stream_count where kind = 'spend' order by 1, 2`;
const BOOK = `
  insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, impressions, event_ts)
  select gen_random_uuid()::text, * from unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[])`;
const EXPOSURES = `
  create or replace view exposure_stream.truth_exposure_hourly as
  select entity_id::exposure_stream.entity_id as experiment_id, allocation_version, variant_id::exposure_stream.entity_id as variant_id, hour, units,
    timestamptz 'epoch' as booked_at from exposure_stream.stream_count where kind = 'exposure'`;

export class FaultStory {
  readonly bed: Bed;
  readonly worker: Worker;
  readonly untilMs: number;
  /** Which campaign has which fault. */
  readonly campaigns = new Map<Fault, string>();
  readonly #plan: FaultPlan;
  readonly #postgres: Client;
  readonly #redis: Redis;
  /** Billing's own totals by (campaign, hour), as they will be at the end. */
  readonly #truth = new Map<string, { id: string; hourMs: number; micros: number; impressions: number }>();
  #later: { id: string; hourMs: number; micros: number; impressions: number }[] = [];

  private constructor(bed: Bed, plan: FaultPlan) {
    this.bed = bed;
    this.#plan = plan;
    this.worker = bed.worker('run', { OUTPUT_UNIQUE: 'false' });
    this.#postgres = new Client({ connectionString: bed.services.databaseUrl });
    this.#redis = new Redis(bed.services.redisUrl);
    const { baseMs = 0, spanMs = 0 } = generateTraffic(plan.traffic).settings;
    this.untilMs = Math.floor((baseMs + spanMs) / HOUR) * HOUR - HOUR;
  }

  /** Everything sent, counted and in Postgres; every source partition idle, so that every hour is closed. */
  static async begin(services: ServiceUrls, plan: FaultPlan): Promise<FaultStory> {
    const pace = { totalsFlushMs: 1000 };
    const bed = await Bed.open(services, { partitions: plan.traffic.partitions ?? 8, settings: { pace, time: { idleAfterMs: 3000 } } });
    const story = new FaultStory(bed, plan);
    await story.#postgres.connect();
    await story.#postgres.query(EXPOSURES);
    await story.#register();
    await story.#count();
    return story;
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
    await this.#postgres.end();
    await this.bed.close();
  }

  /** Billing's tables: what was counted and what came late, but for one fault in each of six campaigns. */
  async seed(): Promise<void> {
    const hours = (await this.#hours()).filter(({ hourMs }) => hourMs < this.untilMs);
    this.#choose(hours);
    for (const row of hours) this.#add(row.id, row.hourMs, row.micros + row.lateMicros, row.impressions + row.lateRecords);
    const of = (fault: Fault): HourRow[] => hours.filter(({ id }) => id === this.campaigns.get(fault));
    const corrections: { id: string; hourMs: number; micros: number; impressions: number }[] = [];
    for (const { id, hourMs, micros, impressions } of of('invalid_traffic')) {
      // Billing books everything and takes a fifth of it back as invalid.
      const back = { id, hourMs, micros: -Math.floor(micros / 5), impressions: -Math.floor(impressions / 5) };
      this.#add(id, hourMs, back.micros, back.impressions);
      corrections.push(back);
    }
    for (const { id, hourMs, micros, impressions } of of('late_bookings')) {
      this.#later.push({ id, hourMs, micros: Math.floor(micros / 4), impressions: Math.floor(impressions / 4) });
    }
    // Impressions that never reached Kafka.
    for (const { id, hourMs, micros, impressions } of of('loss_suspected'))
      this.#add(id, hourMs, Math.floor(micros / 4), Math.floor(impressions / 4));
    this.#shift(of('timezone'), 3 * HOUR);
    await this.#book(corrections);
    await this.#double(of('duplicate_suspected'));
    await this.#postgres.query('update exposure_stream.truth_progress set complete_until = $1', [new Date(this.untilMs)]);
  }

  /** Billing books a tenth more for one campaign. */
  async bookMore(fault: Fault): Promise<void> {
    const id = this.campaigns.get(fault);
    const more = [...this.#truth.values()]
      .filter((row) => row.id === id)
      .map((row) => ({ ...row, micros: Math.floor(row.micros / 10), impressions: Math.floor(row.impressions / 10) }));
    for (const row of more) this.#add(row.id, row.hourMs, row.micros, row.impressions);
    await this.#insert(more);
  }

  /** A reconcile that is killed after so long, if it is still there. */
  async killedReconcile(afterMs: number): Promise<void> {
    const args = [MAIN, 'reconcile', '--until', new Date(this.untilMs).toISOString()];
    const kept = this.bed.keeper.launch(`reconcile-${afterMs}`, {
      command: process.execPath,
      args,
      stopSignal: 'SIGKILL',
      options: { env: this.bed.environment() },
    });
    await Promise.race([kept.exitCode(), sleep(afterMs)]);
    await kept.end('SIGKILL', 5000);
  }

  /** The rest of what billing is behind with. */
  async bookTheRest(): Promise<void> {
    await this.#insert(this.#later);
    this.#later = [];
  }

  reconcile(...args: string[]): Promise<Ended> {
    return this.command('reconcile', '--until', new Date(this.untilMs).toISOString(), ...args);
  }

  /** A command to its end, whatever its exit code. */
  command(...args: string[]): Promise<Ended> {
    return run(process.execPath, [MAIN, ...args], { env: this.bed.environment(), maxBuffer: 256 << 20 }).then(
      ({ stdout }) => ({ code: 0, out: stdout }),
      (error: { code: number; stdout: string; stderr: string }) => ({ code: error.code, out: error.stdout + error.stderr }),
    );
  }

  /** Hours that the views show otherwise than billing has them (by more than the tolerance). */
  async wrongHours(): Promise<string[]> {
    const { rows } = await this.#postgres.query<{ id: string; hourMs: number; micros: number }>(
      'select campaign_id as id, extract(epoch from hour)::float8 * 1000 as "hourMs", spend_micros::float8 as micros from exposure_stream.stream_spend_hourly where hour < $1',
      [new Date(this.untilMs)],
    );
    const shown = new Map(rows.map((row) => [`${row.hourMs} ${row.id}`, row.micros]));
    return [...this.#booked()].flatMap(([key, { micros }]) => {
      const apart = Math.abs((shown.get(key) ?? 0) - micros);
      return apart > Math.max(10_000, Math.abs(micros) / 100) ? [`${key}: ${shown.get(key)}, billing has ${micros}`] : [];
    });
  }

  /** Keys in Redis whose day is not the sum of the hours that Postgres shows. */
  async wrongKeys(): Promise<string[]> {
    const { rows } = await this.#postgres.query<{ key: string; micros: string; impressions: string }>(
      `select 'spend:{' || campaign_id || '}:' || to_char(hour at time zone 'UTC', 'YYYY-MM-DD') as key, sum(spend_micros)::text as micros,
        sum(impressions)::text as impressions from exposure_stream.stream_spend_hourly group by 1`,
    );
    const wrong = await Promise.all(
      rows.map(async ({ key, micros, impressions }) => {
        const held = await this.#redis.hmget(this.bed.keyPrefix + key, 'spend_micros', 'impressions');
        const [heldMicros, heldImpressions] = held.map((value) => value ?? '0'); // a key with nothing to count may be missing
        return heldMicros === micros && heldImpressions === impressions
          ? []
          : [`${key}: ${held.join()}, Postgres has ${micros},${impressions}`];
      }),
    );
    return wrong.flat();
  }

  async openAlerts(): Promise<string[]> {
    const { rows } = await this.#postgres.query<{ kind: string }>(
      'select kind from exposure_stream.alert where ended_at is null order by 1',
    );
    return rows.map(({ kind }) => kind);
  }

  /** Billing's view shows nothing any more. */
  async hideTruth(): Promise<void> {
    await this.#postgres.query('truncate exposure_stream.billable_impression');
  }

  async wipeRedis(): Promise<void> {
    const keys = await this.#redis.keys(`${this.bed.keyPrefix}*`);
    if (keys.length > 0) await this.#redis.del(...keys);
  }

  /** Everything in Redis, without what every write renews. */
  async amounts(): Promise<string> {
    const keys = (await this.#redis.keys(`${this.bed.keyPrefix}spend:*`)).sort();
    const held = await Promise.all(keys.map((key) => this.#redis.hmget(key, 'spend_micros', 'impressions')));
    return keys.map((key, i) => `${key} ${held[i].join()}`).join('\n');
  }

  async #register(): Promise<void> {
    const days = "now() - interval '1 year'";
    const ids = [
      ...new Set(
        [...generateTraffic(this.#plan.traffic)].flatMap(({ topic, key }) =>
          topic === 'impressions' && key ? [Buffer.from(key).toString()] : [],
        ),
      ),
    ];
    const insert = (into: string, values: string) =>
      this.#postgres.query(`insert into exposure_stream.${into} select ${values} from unnest($1::text[]) id`, [ids]);
    await insert('campaign (campaign_id, valid_from)', `id, ${days}`);
    // Twice of what the average campaign spends.
    const capMicros = 50 * (this.#plan.traffic.impressions ?? 0);
    await insert('budget (campaign_id, day_cap_micros, valid_from)', `id, ${capMicros}, ${days}`);
  }

  async #count(): Promise<void> {
    const { say, traffic } = this.#plan;
    this.worker.start();
    await this.worker.ready();
    const producer = await this.bed.producer();
    let batch: Parameters<typeof producer.send>[0][number][] = [];
    let sent = 0;
    for (const record of generateTraffic(traffic)) {
      batch.push(record);
      sent++;
      if (batch.length < 20_000) continue;
      await producer.send(batch, 'lz4');
      batch = [];
    }
    await producer.send(batch, 'lz4');
    say(`${sent.toLocaleString('en-US')} records sent; waiting until all are counted and in Postgres`);
    const idle =
      'select bool_and(idle) as idle, sum(position)::float8 as judged from exposure_stream.stream_position where partials_partition = 0';
    await until(
      'every record is counted, in Postgres, and every partition idle',
      async () => {
        const { rows } = await this.#postgres.query<{ idle: boolean; judged: number }>(idle);
        return rows[0].idle && rows[0].judged >= sent;
      },
      180_000,
    );
    await until('Redis shows what Postgres has', async () => (await this.wrongKeys()).length === 0, 30_000);
  }

  async #hours(): Promise<HourRow[]> {
    return (await this.#postgres.query<HourRow>(HOURS)).rows;
  }

  /** Campaigns of middling size, so that the circuit breaker sees a few of many. */
  #choose(hours: readonly HourRow[]): void {
    const sizes = new Map<string, number>();
    for (const { id, micros } of hours) sizes.set(id, (sizes.get(id) ?? 0) + micros);
    const plain = [...sizes].filter(([id]) => /^cmp-\d+$/.test(id)).sort(([, a], [, b]) => b - a);
    FAULTS.forEach((fault, i) => void this.campaigns.set(fault, plain[i + 2][0]));
  }

  #add(id: string, hourMs: number, micros: number, impressions: number): void {
    const key = `${hourMs} ${id}`;
    const sum = this.#truth.get(key) ?? { id, hourMs, micros: 0, impressions: 0 };
    this.#truth.set(key, { id, hourMs, micros: sum.micros + micros, impressions: sum.impressions + impressions });
  }

  #shift(rows: readonly HourRow[], byMs: number): void {
    const moved = rows.map(({ id, hourMs }) => {
      const row = this.#truth.get(`${hourMs} ${id}`)!;
      this.#truth.delete(`${hourMs} ${id}`);
      return row;
    });
    for (const { id, hourMs, micros, impressions } of moved)
      if (hourMs + byMs < this.untilMs) this.#add(id, hourMs + byMs, micros, impressions);
  }

  /** What billing has by now. */
  #booked(): Map<string, { id: string; hourMs: number; micros: number; impressions: number }> {
    const booked = new Map(this.#truth);
    for (const { id, hourMs, micros, impressions } of this.#later) {
      const row = booked.get(`${hourMs} ${id}`)!;
      booked.set(`${hourMs} ${id}`, { ...row, micros: row.micros - micros, impressions: row.impressions - impressions });
    }
    return booked;
  }

  async #book(corrections: readonly { id: string; hourMs: number; micros: number; impressions: number }[]): Promise<void> {
    const whole = this.#booked();
    for (const { id, hourMs, micros, impressions } of corrections) {
      const row = whole.get(`${hourMs} ${id}`)!;
      whole.set(`${hourMs} ${id}`, { ...row, micros: row.micros - micros, impressions: row.impressions - impressions });
    }
    await this.#insert([...whole.values(), ...corrections]);
  }

  async #insert(rows: readonly { id: string; hourMs: number; micros: number; impressions: number }[]): Promise<void> {
    const columns = [
      rows.map(({ id }) => id),
      rows.map(({ micros }) => micros),
      rows.map(({ impressions }) => impressions),
      rows.map(({ hourMs }) => new Date(hourMs)),
    ];
    await this.#postgres.query(BOOK, columns);
  }

  /** A broken program has written partials with twice the amounts of six hours of a campaign. */
  async #double(rows: readonly HourRow[]): Promise<void> {
    const doubled = [...rows].sort((a, b) => b.micros - a.micros).slice(0, 6);
    const id = this.campaigns.get('duplicate_suspected')!;
    const body = new PartialBody();
    for (const { hourMs, micros, impressions } of doubled) {
      const out = body.cell(CELLS.spend.kind, 0, (_, to) => writeGroupName({ entity: id, version: 0, variant: '' }, to));
      for (const value of [hourMs / CELLS.spend.slotMs, micros, impressions]) out.varint(value);
    }
    const { partitions = 8 } = this.#plan.traffic;
    const key = Buffer.from(id);
    const mark = { watermarkMs: null, idle: false, endAgeMs: null, lastRecordMs: null, oldestRecordMs: null, claim: 0, emission: 0 };
    const other = { topic: this.bed.topic('impressions'), partition: (partitionOf(key, 0, key.length, partitions) + 1) % partitions };
    const value = body.take({ ...mark, ...other, stream: 'impressions', partitions, origin: 0, position: 0, part: 0, parts: 1 });
    const producer = this.bed.kafka.producer();
    await producer.connect();
    await producer.send({
      topic: this.bed.output('partials'),
      messages: [{ value: Buffer.from(value), partition: partitionOf(key, 0, key.length, partitions) }],
    });
    await producer.disconnect();
    const before = doubled.reduce((sum, { micros }) => sum + micros, 0);
    await until('the doubled amounts are in Postgres', async () => {
      const now = (await this.#hours()).filter((row) => row.id === id && doubled.some(({ hourMs }) => hourMs === row.hourMs));
      return now.reduce((sum, { micros }) => sum + micros, 0) >= 2 * before;
    });
  }
}

export const deltasOf = ({ out }: Ended): Delta[] =>
  (JSON.parse(out) as { deltas: (Delta & { kind: string })[] }).deltas.filter(({ kind }) => kind === 'spend');

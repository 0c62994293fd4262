/** What is to be delivered of the alerts in Postgres: a row an alert and route, whoever raised it, whoever delivers it. */
import type { Pool } from 'pg';
import { namePostgresError } from '../sinks/postgres-client.ts';
import type { Severity } from './kinds.ts';
import { type DeliveryEvent, fingerprintOf } from './payloads.ts';
import { ALERT_JSON } from './postgres-store.ts';
import { type Route, takes } from './routes.ts';
import type { AlertJson } from './store.ts';

const MAX_ROUTED = 500;

/** One delivery, leased: until then nobody else tries. */
export interface Delivery {
  alertId: string;
  route: string;
  event: DeliveryEvent;
  /** This one included. */
  attempts: number;
  alert: AlertJson;
}

export interface OutboxState {
  open: { kind: string; severity: string; count: number }[];
  /** Since when the oldest delivery that has not been made is waiting, in seconds; 0 when there is none. */
  oldestUndeliveredSeconds: number;
}

const UNROUTED = `
  select alert_id as id, kind, severity, owner from exposure_stream.alert
  where routed is null or (ended_at is null and routed <> $1) order by raised_at limit ${MAX_ROUTED}`;
const ROUTE = `
  with added as (
    insert into exposure_stream.alert_delivery (alert_id, route) select * from unnest($1::text[], $2::text[]) on conflict do nothing)
  update exposure_stream.alert set routed = $3 where alert_id = any($4)`;
/** One that was never delivered as raised is delivered once, as ended: all is in it. */
const TURN = `
  update exposure_stream.alert_delivery delivery
  set event = 'ended', attempts = 0, next_attempt_at = now(), delivered_at = null, due_since = now(), last_error = null
  from exposure_stream.alert where alert.alert_id = delivery.alert_id and delivery.event = 'raised' and alert.ended_at is not null`;
const LEASE = `
  with due as (
    select alert_id, route from exposure_stream.alert_delivery
    where next_attempt_at <= now() and route = any($1) order by next_attempt_at limit $2 for update skip locked),
  leased as (
    update exposure_stream.alert_delivery delivery set attempts = attempts + 1, next_attempt_at = now() + $3 * interval '1 millisecond'
    from due where delivery.alert_id = due.alert_id and delivery.route = due.route
    returning delivery.alert_id, delivery.route, delivery.event, delivery.attempts)
  select alert_id as "alertId", route, event, attempts, ${ALERT_JSON} as alert from leased join exposure_stream.alert using (alert_id)`;
const DELIVERED = `
  update exposure_stream.alert_delivery
  set delivered_at = now(), last_error = null, attempts = 0, next_attempt_at = now() + $4 * interval '1 millisecond'
  where alert_id = $1 and route = $2 and event = $3`;
/** What was delivered and must be again waits from now on. */
const FAILED = `
  update exposure_stream.alert_delivery
  set last_error = $4, next_attempt_at = now() + $5 * interval '1 millisecond',
    due_since = case when delivered_at is null then due_since else now() end, delivered_at = null
  where alert_id = $1 and route = $2 and event = $3`;
const OPEN = 'select kind, severity, count(*)::integer as count from exposure_stream.alert where ended_at is null group by kind, severity';
const OLDEST = `
  select coalesce(extract(epoch from now() - min(due_since)), 0)::float8 as seconds from exposure_stream.alert_delivery
  where next_attempt_at is not null and delivered_at is null and route = any($1)`;

export class Outbox {
  readonly #pool: Pool;
  readonly #routes: readonly Route[];
  readonly #names: string[];
  readonly #fingerprint: string;

  /** The pool is somebody else's. */
  constructor(pool: Pool, routes: readonly Route[]) {
    this.#pool = pool;
    this.#routes = routes;
    this.#names = routes.map(({ name }) => name);
    this.#fingerprint = fingerprintOf(routes);
  }

  /** Makes deliveries of alerts that are new, or new to these routes, and turns those that are over. */
  async route(): Promise<void> {
    type Unrouted = { id: string; kind: string; severity: Severity; owner: string };
    const alerts = await this.#query<Unrouted>(UNROUTED, [this.#fingerprint]);
    if (alerts.length > 0) {
      const pairs = alerts.flatMap((alert) => this.#routes.filter((route) => takes(route, alert)).map(({ name }) => [alert.id, name]));
      const ids = alerts.map(({ id }) => id);
      await this.#query(ROUTE, [pairs.map(([id]) => id), pairs.map(([, name]) => name), this.#fingerprint, ids]);
    }
    await this.#query(TURN, []);
  }

  /** Due deliveries by routes known here, at most `limit`; each is this caller's for `leaseMs`. */
  lease(limit: number, leaseMs: number): Promise<Delivery[]> {
    return this.#query<Delivery>(LEASE, [this.#names, limit, leaseMs]);
  }

  /** @param repeatMs when it is to be delivered again while the alert is open; null for never */
  async delivered({ alertId, route, event }: Delivery, repeatMs: number | null): Promise<void> {
    await this.#query(DELIVERED, [alertId, route, event, event === 'raised' ? repeatMs : null]);
  }

  async failed({ alertId, route, event }: Delivery, why: string, backoffMs: number): Promise<void> {
    await this.#query(FAILED, [alertId, route, event, why, backoffMs]);
  }

  async state(): Promise<OutboxState> {
    const open = await this.#query<OutboxState['open'][number]>(OPEN, []);
    const [{ seconds }] = await this.#query<{ seconds: number }>(OLDEST, [this.#names]);
    return { open, oldestUndeliveredSeconds: seconds };
  }

  async #query<Row extends object>(text: string, values: unknown[]): Promise<Row[]> {
    try {
      return (await this.#pool.query<Row>(text, values)).rows;
    } catch (error) {
      throw namePostgresError(error, 'Deliveries of alerts wait');
    }
  }
}

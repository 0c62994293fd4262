/** What a process that evaluates does about alerts beside its pipeline: deliver them, and show them. */
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { AlertDeliverer } from '../alerts/deliverer.ts';
import { Outbox, type OutboxState } from '../alerts/outbox.ts';
import { runbookLink } from '../alerts/payloads.ts';
import { PostgresAlertStore } from '../alerts/postgres-store.ts';
import type { Route } from '../alerts/routes.ts';
import type { AlertJson } from '../alerts/store.ts';
import { alertJson } from '../alerts/types.ts';
import type { Settings } from '../config.ts';
import { asError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { openPool } from '../sinks/postgres-client.ts';
import type { Pipeline } from '../topology/pipeline.ts';
import type { Clock } from '../topology/types.ts';

const MAX_SHOWN = 500;
const CONNECTIONS = 4;
/** What is cut off is delivered by the next process. */
const LAST_LOOK_MS = 1000;

export interface AlertingParts {
  settings: Settings;
  routes: readonly Route[];
  log: Logger;
  metrics: Metrics;
  clock: Clock;
  pipeline: () => Pipeline;
  trouble: (error: Error) => void;
}

/** `/api/v1/alerts`. */
export interface ShownAlerts {
  /** `process`: Postgres does not answer, and these are only what this process has raised itself. */
  source: 'postgres' | 'process';
  open: AlertJson[];
  /** Not raised, because the stream lags. */
  suppressed: AlertJson[];
}

export class Alerting {
  /** What the pipeline writes to. */
  readonly store: PostgresAlertStore;
  readonly #parts: AlertingParts;
  readonly #pool: Pool;
  readonly #deliverer: AlertDeliverer;
  #state: OutboxState | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: AlertingParts) {
    const { settings, routes, clock } = parts;
    const { alerts, env } = settings;
    this.#parts = parts;
    this.#pool = openPool(env.DATABASE_URL, CONNECTIONS);
    this.store = new PostgresAlertStore(this.#pool);
    this.#deliverer = new AlertDeliverer({
      outbox: new Outbox(this.#pool, routes),
      routes,
      links: alerts,
      timeoutMs: alerts.timeoutMs,
      clock,
      fetch,
      observer: this.#observer(),
    });
  }

  start(stopping: AbortSignal): void {
    this.#running = this.#deliverer.run(stopping);
  }

  /** After `stopping` was aborted, and the pipeline has written its last: that is tried once, so that no next start is needed for it. */
  async close(): Promise<void> {
    await this.#running;
    const cut = new AbortController();
    const done = new AbortController();
    void this.#parts.clock.sleep(LAST_LOOK_MS, done.signal).then(() => cut.abort());
    await this.#deliverer.look(cut.signal).catch(this.#parts.trouble);
    done.abort();
    await this.#pool.end();
  }

  async shown(): Promise<ShownAlerts> {
    const linked = (alert: AlertJson): AlertJson => ({ ...alert, runbook: runbookLink(alert, this.#parts.settings.alerts) });
    const books = this.#parts.pipeline().evaluateTasks.flatMap(({ stage }) => (stage === null ? [] : [stage.state.alerts]));
    const suppressed = books.flatMap((book) =>
      book.suppressed.map(({ kind, subject, summary, sinceMs, reason }) => ({
        kind,
        subject_kind: subject.kind,
        subject_id: subject.id,
        summary,
        since_ms: sinceMs,
        reason,
      })),
    );
    try {
      return { source: 'postgres', open: (await this.store.open(MAX_SHOWN)).map(linked), suppressed };
    } catch {
      const open = books.flatMap((book) => [...book.open()].map((alert) => linked(alertJson(alert))));
      return { source: 'process', open, suppressed };
    }
  }

  /** Sets the gauges; asked for with each scrape. */
  collect(): void {
    const { metrics, pipeline } = this.#parts;
    metrics.gauge('alerts_suppressed').reset();
    for (const { stage } of pipeline().evaluateTasks)
      for (const { kind } of stage?.state.alerts.suppressed ?? []) metrics.gauge('alerts_suppressed').inc({ kind });
    if (this.#state === null) return;
    metrics.gauge('alerts_open').reset();
    for (const { kind, severity, count } of this.#state.open) metrics.gauge('alerts_open').set({ kind, severity }, count);
    metrics.gauge('alert_oldest_undelivered_seconds').set(this.#state.oldestUndeliveredSeconds);
  }

  #observer(): ConstructorParameters<typeof AlertDeliverer>[0]['observer'] {
    const { log, metrics, trouble } = this.#parts;
    return {
      delivered: (route, event) => metrics.counter('alert_deliveries_total').inc({ route, event }),
      failed: ({ alertId, route, event, attempts }, why) => {
        metrics.counter('alert_delivery_failures_total').inc({ route });
        log.warn({ alert_id: alertId, route, event, attempts, why }, 'an alert was not delivered; it is tried again');
      },
      looked: (state) => {
        this.#state = state;
      },
      trouble: (_, error) => trouble(asError(error)),
    };
  }
}

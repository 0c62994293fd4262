/**
 * Takes alerts out of evaluate's state to the topic `.alerts` and to Postgres, and brings back what was acknowledged.
 * Beside the path: nothing here gates a commit, and what a commit has is sent again after every restart, until Postgres
 * has it as ended.
 */
import { asError } from '../errors.ts';
import type { EvaluateStage } from '../topology/evaluate.ts';
import type { Clock, LogWriter, OutRecord } from '../topology/types.ts';
import type { AlertStore } from './store.ts';
import { type AlertRecord, alertJson } from './types.ts';

const LOOK_MS = 1000;
/** Alerts and their ends go out at once, what else has changed about them this often. */
const UPDATE_MS = 60_000;
const MAX_ALERTS = 500;

interface Evaluating {
  readonly stage: EvaluateStage | null;
}

export interface AlertPublisherParts {
  /** `.alerts`. */
  topic: string;
  writer: LogWriter;
  store: AlertStore;
  clock: Clock;
  tasks: () => readonly Evaluating[];
  observer: { trouble?(what: 'alerts', error: Error): void; published?(alerts: number): void };
}

/** What is where of one alert. */
interface Sent {
  topic: AlertRecord | null;
  store: AlertRecord | null;
  atMs: number;
}

const utf8 = new TextEncoder();

export class AlertPublisher {
  readonly #parts: AlertPublisherParts;
  readonly #sent = new WeakMap<EvaluateStage, Map<string, Sent>>();
  #publishing: Promise<void> = Promise.resolve();

  constructor(parts: AlertPublisherParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, tasks } = this.#parts;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      if (!signal.aborted) await this.publish(tasks());
    }
  }

  /** The tasks have ended, everything committed: what their last commits have may go out too. */
  last(tasks: readonly Evaluating[]): Promise<void> {
    for (const { stage } of tasks) stage?.state.alerts.settle();
    return this.publish(tasks);
  }

  /** One pass, after those asked for before. A failure is told, and leaves the rest for the next time. */
  publish(tasks: readonly Evaluating[]): Promise<void> {
    this.#publishing = this.#publishing.then(() => this.#pass(tasks));
    return this.#publishing;
  }

  async #pass(tasks: readonly Evaluating[]): Promise<void> {
    const { observer } = this.#parts;
    let published = 0;
    for (const { stage } of tasks) {
      if (stage === null) continue;
      try {
        published += await this.#publish(stage);
        await this.#readClosed(stage);
      } catch (error) {
        observer.trouble?.('alerts', asError(error));
      }
    }
    if (published > 0) observer.published?.(published);
  }

  async #publish(stage: EvaluateStage): Promise<number> {
    const sent = this.#sentOf(stage);
    const nowMs = this.#parts.clock.now().monotonicMs;
    const due: AlertRecord[] = [];
    for (const alert of stage.state.alerts.durable()) {
      const before = sent.get(alert.id) ?? { topic: null, store: null, atMs: Number.NEGATIVE_INFINITY };
      sent.set(alert.id, before);
      if (before.topic === alert && before.store === alert) continue;
      const isNews = before.store === null || alert.endedAtMs !== null;
      if (isNews || nowMs - before.atMs >= UPDATE_MS) due.push(alert);
      if (due.length === MAX_ALERTS) break;
    }
    if (due.length === 0) return 0;
    const { writer, store, topic } = this.#parts;
    const version = stage.writer;
    const unsaid = due.filter((alert) => sent.get(alert.id)?.topic !== alert);
    if (unsaid.length > 0) await writer.send(unsaid.map((alert) => recordOf(topic, alert)));
    for (const alert of unsaid) Object.assign(sent.get(alert.id) ?? {}, { topic: alert });
    await store.write(version, due);
    for (const alert of due) {
      Object.assign(sent.get(alert.id) ?? {}, { store: alert, atMs: nowMs });
      stage.state.alerts.stored(alert);
      if (alert.endedAtMs !== null) sent.delete(alert.id);
    }
    return due.length;
  }

  async #readClosed(stage: EvaluateStage): Promise<void> {
    const sent = this.#sentOf(stage);
    const known = [...stage.state.alerts.open()].filter(({ id }) => sent.get(id)?.store).map(({ id }) => id);
    if (known.length === 0) return;
    for (const closed of await this.#parts.store.closed(known)) stage.state.alerts.closed(closed);
  }

  #sentOf(stage: EvaluateStage): Map<string, Sent> {
    const known = this.#sent.get(stage) ?? new Map<string, Sent>();
    this.#sent.set(stage, known);
    return known;
  }
}

const recordOf = (topic: string, alert: AlertRecord): OutRecord => ({
  topic,
  partition: null,
  key: utf8.encode(alert.id),
  value: utf8.encode(JSON.stringify(alertJson(alert))),
});

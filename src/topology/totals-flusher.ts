/** Sends hourly totals to Postgres every now and then, and when an hour closes. Never gates a commit. */
import { asError } from '../errors.ts';
import type { TotalsSink } from '../sinks/totals.ts';
import type { EvaluateStage } from './evaluate.ts';
import type { Clock } from './types.ts';

const LOOK_MS = 1000;
const MAX_ROWS = 20_000;
const HOUR_MS = 3_600_000;

interface Evaluating {
  readonly stage: EvaluateStage | null;
}

export interface TotalsFlusherParts {
  sink: TotalsSink;
  clock: Clock;
  flushMs: number;
  tasks: () => readonly Evaluating[];
  observer: { flushed?(rows: number, durationMs: number): void; trouble?(what: 'totals', error: Error): void };
}

export class TotalsFlusher {
  readonly #parts: TotalsFlusherParts;
  readonly #closedHour = new WeakMap<EvaluateStage, number>();
  #flushing: Promise<void> = Promise.resolve();

  constructor(parts: TotalsFlusherParts) {
    this.#parts = parts;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, flushMs, tasks } = this.#parts;
    let dueMs = clock.now().monotonicMs + flushMs;
    while (!signal.aborted) {
      await clock.sleep(Math.min(LOOK_MS, flushMs), signal);
      if (signal.aborted) return;
      const due = clock.now().monotonicMs >= dueMs;
      if (due) dueMs = clock.now().monotonicMs + flushMs;
      await this.flush(tasks().filter(({ stage }) => stage !== null && (this.#hourClosed(stage) || due)));
    }
  }

  /** One pass over these tasks, after those asked for before: hours in flight belong to one pass. A failure leaves the rest for the next time. */
  flush(tasks: readonly Evaluating[]): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#pass(tasks));
    return this.#flushing;
  }

  async #pass(tasks: readonly Evaluating[]): Promise<void> {
    const { clock, observer } = this.#parts;
    const startedMs = clock.now().monotonicMs;
    let rows = 0;
    try {
      for (const { stage } of tasks) if (stage !== null) rows += await this.#flushStage(stage);
    } catch (error) {
      observer.trouble?.('totals', asError(error));
    }
    if (rows > 0) observer.flushed?.(rows, clock.now().monotonicMs - startedMs);
  }

  async #flushStage(stage: EvaluateStage): Promise<number> {
    let rows = 0;
    for (let full = true; full; ) {
      const batch = stage.takeHours(MAX_ROWS);
      if (batch === null) break;
      full = batch.rows.length === MAX_ROWS; // what has changed meanwhile waits for the next time
      let written = false;
      try {
        written = (await this.#parts.sink.flush(batch)) === 'written';
      } finally {
        stage.hoursLanded(written);
      }
      if (!written) break; // fenced: a later owner has written; this one tries again when it has caught up
      rows += batch.rows.length;
    }
    return rows;
  }

  #hourClosed(stage: EvaluateStage): boolean {
    const hour = Math.floor((stage.state.sources.watermarkMs('impressions') ?? -1) / HOUR_MS);
    const before = this.#closedHour.get(stage) ?? Number.POSITIVE_INFINITY;
    this.#closedHour.set(stage, hour);
    return hour > before;
  }
}

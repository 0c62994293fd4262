/** A reconciler that dies at its nth await, before or after what it awaits has taken effect. */

import type { ReconcileStore } from '../../reconcile/store.ts';
import type { LogWriter } from '../../src/topology/types.ts';

export class Crash extends Error {}

/** Counts awaits over everything that it wraps; the one numbered `at` and all after it throw: the process is gone. */
export class Mortal {
  steps = 0;
  readonly #at: number;

  constructor(at = Number.POSITIVE_INFINITY) {
    this.#at = at;
  }

  step(): void {
    if (this.steps++ >= this.#at) throw new Crash(`at await ${this.#at}`);
  }

  writer(inner: LogWriter): LogWriter {
    return {
      send: async (records) => {
        this.step();
        await inner.send(records);
        this.step();
      },
      close: () => inner.close(),
    };
  }

  /** Methods that only release what the process holds are done also by the dead: their connections close. */
  store(inner: ReconcileStore): ReconcileStore {
    const around =
      <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        this.step();
        const result = await call(...args);
        this.step();
        return result;
      };
    return {
      lock: (waitMs) => inner.lock(waitMs),
      pending: around(() => inner.pending()),
      snapshot: around(() => inner.snapshot()),
      begin: around(async (head, dryRun) => {
        const draft = await inner.begin(head, dryRun);
        return {
          add: around((deltas) => draft.add(deltas)),
          decide: around((outcome) => draft.decide(outcome)),
          close: () => draft.close(),
        };
      }),
      approve: around((runId) => inner.approve(runId)),
      reject: around((runId) => inner.reject(runId)),
      fail: around((runId, because) => inner.fail(runId, because)),
      applied: around((runId) => inner.applied(runId)),
      standing: (runId, fromMs) => this.#rows(inner.standing(runId, fromMs)),
      close: () => inner.close(),
    };
  }

  async *#rows<Rows>(rows: AsyncIterable<Rows>): AsyncGenerator<Rows, void> {
    this.step();
    for await (const some of rows) {
      yield some;
      this.step();
    }
  }
}

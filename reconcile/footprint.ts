/** What the views show of spend before a run, and with it applied: two fingerprints and how much moves between them. */
import { createHash } from 'node:crypto';
import type { ComparedEntity, Delta } from './types.ts';

export class Footprint {
  readonly #before = createHash('sha256');
  readonly #after = createHash('sha256');
  #shown = 0;
  #moved = 0;

  add({ kind, entityId, hours }: ComparedEntity, deltas: readonly Delta[]): void {
    if (kind !== 'spend') return;
    const moving = new Map(
      deltas.filter(({ action }) => action === 'adjust' || action === 'correct').map((delta) => [delta.hourMs, delta]),
    );
    for (const { hourMs, stream } of hours) {
      const shown = stream?.shown ?? { amount: 0, count: 0 };
      const { amount, count } = moving.get(hourMs)?.delta ?? { amount: 0, count: 0 };
      if (stream !== null) this.#before.update(line(entityId, hourMs, shown.amount, shown.count));
      if (stream !== null || moving.has(hourMs)) this.#after.update(line(entityId, hourMs, shown.amount + amount, shown.count + count));
      this.#shown += Math.abs(shown.amount);
      this.#moved += Math.abs(amount);
    }
  }

  /** Call once, at the end. */
  take(): { before: string; after: string; movedShare: number } {
    const movedShare = this.#moved === 0 ? 0 : this.#moved / Math.max(1, this.#shown);
    return { before: this.#before.digest('hex'), after: this.#after.digest('hex'), movedShare };
  }
}

const line = (...values: unknown[]): string => `${JSON.stringify(values)}\n`;

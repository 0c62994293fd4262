/** The differences that are told in full; all of them are in Postgres. */
import type { Delta } from './types.ts';

/** At 700 bytes each, and up to twice as many while they come: 28 MB. */
const TOLD = 20_000;

/** Of any number the largest, in the order in which they came. */
export class Worst {
  readonly #most: number;
  #kept: { delta: Delta; at: number }[] = [];
  #seen = 0;

  constructor(most = TOLD) {
    this.#most = most;
  }

  add(delta: Delta): void {
    this.#kept.push({ delta, at: this.#seen++ });
    if (this.#kept.length >= 2 * this.#most) this.#drop();
  }

  take(): Delta[] {
    if (this.#kept.length > this.#most) this.#drop();
    return this.#kept.sort((a, b) => a.at - b.at).map(({ delta }) => delta);
  }

  #drop(): void {
    const size = ({ delta }: { delta: Delta }): number => Math.abs(delta.delta.amount);
    this.#kept.sort((a, b) => size(b) - size(a) || a.at - b.at).splice(this.#most);
  }
}

/** Everything that happened, in order, as one hash: two runs of a seed must agree in it. */
export class Trace {
  readonly #lines: string[] | null;
  #high = 0x811c9dc5 | 0;
  #low = 0x1b873593 | 0;
  #events = 0;

  /** With `keep`, the lines are kept too. */
  constructor(keep: boolean) {
    this.#lines = keep ? [] : null;
  }

  add(line: string): void {
    let high = this.#high;
    let low = this.#low;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      high = Math.imul(high ^ code, 0x01000193);
      low = Math.imul(low + code, 0x9e3779b1) ^ (low >>> 15);
    }
    this.#high = (high ^ 10) | 0;
    this.#low = (low + this.#events++) | 0;
    this.#lines?.push(line);
  }

  get events(): number {
    return this.#events;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** Of all so far: 16 hex digits and the number of events. */
  get hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    return `${hex(this.#high)}${hex(this.#low)} of ${this.#events} events`;
  }
}

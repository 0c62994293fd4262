/** Who has which lines of an array that grows, by the buddy system (Knuth, The Art of Computer Programming 1, 2.5): powers of two only. */
export class Buddies {
  /** Lines from here on were never given. */
  end = 0;
  /** By the logarithm of their length: places that are free. */
  readonly #free: Set<number>[] = Array.from({ length: 32 }, () => new Set());

  /** Where `end` will be once so many were taken. */
  endWith(lines: number): number {
    return this.#orderOf(lines) === null ? alignedUp(this.end, lines) + lines : this.end;
  }

  /** The first of so many lines that nobody else has. */
  take(lines: number): number {
    const order = this.#orderOf(lines);
    if (order === null) return this.#extend(lines);
    const [at] = this.#free[order];
    this.#free[order].delete(at);
    for (let length = 2 ** order; length > lines; length /= 2) this.#free[logOf(length / 2)].add(at + length / 2);
    return at;
  }

  /** Gives back what was taken, and joins it with what is free beside it. */
  give(at: number, lines: number): void {
    let [start, length] = [at, lines];
    // No buddy lies beyond the end, so none is free.
    for (; this.#free[logOf(length)].delete(buddyOf(start, length)); length *= 2) start = Math.min(start, buddyOf(start, length));
    this.#free[logOf(length)].add(start);
  }

  /** The least that is free and long enough. */
  #orderOf(lines: number): number | null {
    for (let order = logOf(lines); order < this.#free.length; order++) if (this.#free[order].size > 0) return order;
    return null;
  }

  #extend(lines: number): number {
    const start = alignedUp(this.end, lines);
    while (this.end < start) {
      const length = this.end & -this.end;
      this.end += length;
      this.give(this.end - length, length);
    }
    this.end = start + lines;
    return start;
  }
}

const logOf = (lines: number): number => 31 - Math.clz32(lines);
const alignedUp = (at: number, lines: number): number => Math.ceil(at / lines) * lines;
const buddyOf = (at: number, lines: number): number => (at % (2 * lines) === 0 ? at + lines : at - lines);

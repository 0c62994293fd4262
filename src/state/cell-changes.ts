/** Which cells of a table have changed since they were last sent, and since they were last committed. */

/** Why a cell is listed as changed. */
export type Purpose = 0 | 1;
export const TO_SEND: Purpose = 0;
export const TO_COMMIT: Purpose = 1;
const BOTH = (1 << TO_SEND) | (1 << TO_COMMIT);

/** When one cell in so many has changed, they are taken in the order of their places: what lies side by side is then read once. */
const MANY = 8;

export class CellChanges {
  /** By cell: a bit for each purpose it is listed for. */
  #marks: Uint8Array;
  readonly #lists: [Int32Array, Int32Array];
  readonly #counts: [number, number] = [0, 0];
  /** Of the last call of `take`. */
  #taken = new Int32Array(0);
  /** Where listed cells have gone since `moved`. */
  readonly #places = new Map<number, number>();

  constructor(cells: number) {
    this.#marks = new Uint8Array(cells);
    this.#lists = [new Int32Array(cells), new Int32Array(cells)];
  }

  get byteLength(): number {
    return this.#marks.byteLength;
  }

  count(purpose: Purpose): number {
    return this.#counts[purpose];
  }

  isListed(index: number): boolean {
    return this.#marks[index] !== 0;
  }

  /** Reads what listing a cell will. The result means nothing. */
  warm(index: number): number {
    return this.#marks[index];
  }

  /** Lists a cell for both purposes; most are already. */
  listForBoth(index: number): void {
    if (this.#marks[index] === BOTH) return;
    this.list(index, TO_SEND);
    this.list(index, TO_COMMIT);
  }

  list(index: number, purpose: Purpose): void {
    const bit = 1 << purpose;
    if ((this.#marks[index] & bit) !== 0) return;
    this.#marks[index] |= bit;
    let list = this.#lists[purpose];
    const count = this.#counts[purpose]++;
    if (count === list.length) {
      list = grown(list, new Int32Array(count * 2));
      this.#lists[purpose] = list;
    }
    list[count] = index;
  }

  /** The first listed cells (those that have been longest, or after `arrange` those of the lowest places), `most` of them, which are listed no more. Valid until the next call. */
  take(purpose: Purpose, most: number): Int32Array {
    const list = this.#lists[purpose];
    const listed = this.#counts[purpose];
    const count = Math.min(listed, most);
    if (count === listed) this.arrange(purpose);
    if (this.#taken.length < count) this.#taken = new Int32Array(Math.max(count, 2 * this.#taken.length));
    const taken = this.#taken.subarray(0, count);
    for (let i = 0; i < count; i++) {
      taken[i] = list[i];
      this.#marks[list[i]] &= ~(1 << purpose);
    }
    list.copyWithin(0, count, listed);
    this.#counts[purpose] = listed - count;
    return taken;
  }

  /** Lists them in the order of their places, where they are many. */
  arrange(purpose: Purpose): void {
    const list = this.#lists[purpose];
    const count = this.#counts[purpose];
    if (count <= this.#marks.length / MANY) return;
    for (let index = 0, listed = 0; listed < count; index++) {
      if ((this.#marks[index] & (1 << purpose)) !== 0) list[listed++] = index;
    }
  }

  makeRoom(cells: number): void {
    if (this.#marks.length < cells) this.#marks = grown(this.#marks, new Uint8Array(Math.max(cells, 2 * this.#marks.length)));
  }

  /** A cell that was the last has gone to a place where an unlisted one was. `moved` follows, before any is listed or taken. */
  move(from: number, to: number): void {
    if (this.#marks[from] === 0) return;
    this.#marks[to] = this.#marks[from];
    this.#marks[from] = 0;
    this.#places.set(from, to);
  }

  /** Cells have new places: the lists name those. */
  moved(): void {
    if (this.#places.size === 0) return;
    for (const purpose of [TO_SEND, TO_COMMIT]) {
      const list = this.#lists[purpose];
      for (let i = 0; i < this.#counts[purpose]; i++) {
        // Moved more than once, perhaps.
        for (let place = this.#places.get(list[i]); place !== undefined; place = this.#places.get(place)) list[i] = place;
      }
    }
    this.#places.clear();
  }
}

export function grown<A extends { set(source: ArrayLike<number>): void }>(old: ArrayLike<number>, bigger: A): A {
  bigger.set(old);
  return bigger;
}

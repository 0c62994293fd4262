/** Things to be done at a time, earliest first; of one time, those put in first. A binary heap. */
export class Agenda<T> {
  private readonly heap: { atMs: number; order: number; item: T }[] = [];
  private order = 0;

  /** Time of the first thing, Infinity when there is none. */
  get nextMs(): number {
    return this.heap.length === 0 ? Infinity : this.heap[0].atMs;
  }

  put(atMs: number, item: T): void {
    const { heap } = this;
    const entry = { atMs, order: this.order++, item };
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = entry;
  }

  /** Takes the first thing out; only when there is one. */
  take(): T {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], last)) break;
        heap[at] = heap[child];
        at = child;
      }
      heap[at] = last;
    }
    return first.item;
  }
}

interface Entry {
  atMs: number;
  order: number;
}

const before = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

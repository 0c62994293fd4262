/** What happens next: events by time, the earliest first. */
export class Heap<Event extends { atMs: number }> {
  readonly #events: Event[] = [];

  get nextMs(): number {
    return this.#events.length === 0 ? Number.POSITIVE_INFINITY : this.#events[0].atMs;
  }

  get size(): number {
    return this.#events.length;
  }

  push(event: Event): void {
    const events = this.#events;
    let at = events.length;
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (events[parent].atMs <= event.atMs) break;
      events[at] = events[parent];
      at = parent;
    }
    events[at] = event;
  }

  /** Takes the earliest; there must be one. */
  pop(): Event {
    const events = this.#events;
    const first = events[0];
    const last = events.pop() as Event;
    if (events.length > 0) this.#sink(last);
    return first;
  }

  #sink(event: Event): void {
    const events = this.#events;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && events[child + 1].atMs < events[child].atMs) child += 1;
      if (events[child].atMs >= event.atMs) break;
      events[at] = events[child];
      at = child;
    }
    events[at] = event;
  }
}

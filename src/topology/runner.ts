/** Keeps one task for every partition that its source assigns. The source only enqueues; the loop here alone acts. */
import type { Stage } from './stage.ts';
import type { Task } from './task.ts';
import type { AssignmentListener, PartitionFeed, Source } from './types.ts';

export interface RunnerParts<T> {
  source: Source;
  makeTask: (feed: PartitionFeed) => T;
  /** An error that ends the process. */
  fatal: (error: Error) => void;
}

interface Place<T> {
  task: T;
  feed: PartitionFeed;
  /** Runs of the same partition follow one another: the next begins when the last has let go. */
  running: Promise<void>;
}

const nameOf = (feed: PartitionFeed): string => `${feed.topic}/${feed.partition}`;

type AnyTask = Pick<Task<unknown, unknown, Stage<unknown, unknown>>, 'run' | 'stop' | 'close' | 'leave' | 'state'>;

export class Runner<T extends AnyTask> implements AssignmentListener {
  readonly #parts: RunnerParts<T>;
  readonly #places = new Map<string, Place<T>>();
  #queue: PartitionFeed[][] = [];
  #applying = false;
  #joined = false;
  #stopped = false;

  constructor(parts: RunnerParts<T>) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    await this.#parts.source.start(this);
  }

  /** Whether an assignment is in force; it may be an empty one. */
  get joined(): boolean {
    return this.#joined;
  }

  /** Tasks of partitions that are assigned now, in the order of their first assignment. */
  get tasks(): T[] {
    return [...this.#places.values()].filter((place) => !place.feed.lost).map((place) => place.task);
  }

  /** Every task there was, also of partitions that have gone elsewhere. */
  get allTasks(): T[] {
    return [...this.#places.values()].map((place) => place.task);
  }

  /** The feed a task reads now. */
  feedOf(task: T): PartitionFeed | null {
    for (const place of this.#places.values()) if (place.task === task) return place.feed;
    return null;
  }

  /** The tasks keep their memory: most partitions come back in a moment. */
  revoked(): void {
    this.#joined = false;
  }

  assigned(feeds: PartitionFeed[]): void {
    this.#queue.push(feeds);
    if (!this.#applying) this.#apply();
  }

  failed(error: Error): void {
    this.#parts.fatal(error);
  }

  /** Commits everything, then leaves the group. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { task } of this.#places.values()) task.stop();
    await Promise.all([...this.#places.values()].map((place) => place.running));
    await this.#parts.source.stop();
    await Promise.all([...this.#places.values()].map((place) => place.task.close()));
  }

  #apply(): void {
    this.#applying = true;
    for (let feeds = this.#queue.shift(); feeds !== undefined; feeds = this.#queue.shift()) {
      this.#joined = true;
      for (const feed of feeds) this.#run(feed);
      for (const place of this.#places.values()) if (place.feed.lost) this.#leave(place);
    }
    this.#applying = false;
  }

  #leave(place: Place<T>): void {
    void place.running.then(() => {
      if (place.feed.lost && this.#places.get(nameOf(place.feed)) === place) place.task.leave();
    });
  }

  #run(feed: PartitionFeed): void {
    if (this.#stopped) return;
    const name = nameOf(feed);
    const place = this.#places.get(name);
    const stopped = place?.task.state === 'stopped';
    const task = place === undefined || stopped ? this.#parts.makeTask(feed) : place.task;
    const before = stopped ? place.task.close() : (place?.running ?? Promise.resolve());
    const running = before.then(() => task.run(feed)).catch((error) => this.#parts.fatal(error));
    this.#places.set(name, { task, feed, running });
  }
}

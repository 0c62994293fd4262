/** What every Source promises (types.ts), told as tests. Run on memory, on files and on a real Kafka. */
import { expect, test } from 'vitest';
import { asError, codeOf } from '../../src/errors.ts';
import { type AssignmentListener, type PartitionFeed, type RecordBatch, RecordView, type Source } from '../../src/topology/types.ts';

export interface GivenRecord {
  key: string | null;
  value: string | null;
  timestampMs: number;
}

/** A topic of two partitions, fresh for each test, and a way to read it. */
export interface SourceBed {
  topic: string;
  append(partition: number, records: readonly GivenRecord[]): Promise<void>;
  open(): Source;
  /** Makes a rebalance happen that leaves this source with both partitions again; missing where there are none. */
  rebalance?(source: Source, recorder: AssignmentRecorder): Promise<void>;
  /** What is appended after the source was opened is read, and there are offsets of a group. */
  live: boolean;
  close(): Promise<void>;
}

/** Remembers assignments; `nextFeeds` resolves with the next one that is not empty. */
export class AssignmentRecorder implements AssignmentListener {
  readonly failures: Error[] = [];
  feeds: PartitionFeed[] = [];
  #waiting: { resolve(feeds: PartitionFeed[]): void; reject(error: Error): void }[] = [];

  revoked(): void {
    this.assigned([]);
  }

  assigned(feeds: PartitionFeed[]): void {
    this.feeds = feeds;
    if (feeds.length === 0) return;
    for (const { resolve } of this.#waiting.splice(0)) resolve(feeds);
  }

  failed(error: Error): void {
    this.failures.push(error);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  nextFeeds(): Promise<PartitionFeed[]> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}

export interface SeenRecord {
  offset: number;
  key: string | null;
  value: string | null;
  timestampMs: number;
}

const text = (bytes: Uint8Array | null, start: number, end: number): string | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();

export const recordsOf = (batch: RecordBatch): SeenRecord[] => {
  const view = new RecordView();
  const seen: SeenRecord[] = [];
  while (batch.next(view)) {
    const key = text(view.key, view.keyStart, view.keyEnd);
    seen.push({ offset: view.offset, key, value: text(view.value, view.valueStart, view.valueEnd), timestampMs: view.timestampMs });
  }
  return seen;
};

/** Polls until the position reaches `offset`. */
export const readTo = async (feed: PartitionFeed, offset: number): Promise<SeenRecord[]> => {
  const seen: SeenRecord[] = [];
  for (let polls = 0; polls < 200; polls++) {
    const batch = await feed.poll(100);
    if (batch === null) continue;
    seen.push(...recordsOf(batch));
    if (batch.nextOffset >= offset) return seen;
  }
  throw new Error(`offset ${offset} was not reached`);
};

const numbered = (from: number, to: number): GivenRecord[] =>
  Array.from({ length: to - from }, (_, i) => ({ key: `k${from + i}`, value: `v${from + i}`, timestampMs: 1_700_000_000_000 + from + i }));

const codeOfRejection = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => codeOf(asError(error)),
  );

const started = async (bed: SourceBed): Promise<{ source: Source; recorder: AssignmentRecorder; feed: PartitionFeed }> => {
  const source = bed.open();
  const recorder = new AssignmentRecorder();
  const assigned = recorder.nextFeeds();
  await source.start(recorder);
  const feed = (await assigned).find((candidate) => candidate.topic === bed.topic && candidate.partition === 0);
  if (!feed) throw new Error('partition 0 was not assigned');
  return { source, recorder, feed };
};

/** Registers the suite. `makeBed` is called once for each test. */
export const sourceConformance = (makeBed: () => Promise<SourceBed>): void => {
  const withBed = (story: (bed: SourceBed) => Promise<void>) => async (): Promise<void> => {
    const bed = await makeBed();
    try {
      await story(bed);
    } finally {
      await bed.close();
    }
  };
  readingConformance(withBed);
  losingConformance(withBed);
  liveConformance(withBed);
};

type WithBed = (story: (bed: SourceBed) => Promise<void>) => () => Promise<void>;

const readingConformance = (withBed: WithBed): void => {
  test(
    'every partition is assigned and its records come in offset order with key, value and timestamp',
    withBed(async (bed) => {
      await bed.append(0, numbered(0, 5));
      await bed.append(1, numbered(5, 7));
      const { source, recorder, feed } = await started(bed);
      expect(recorder.feeds.map(({ partition }) => partition).sort()).toEqual([0, 1]);
      expect(await source.partitionCounts()).toEqual(new Map([[bed.topic, 2]]));
      feed.seek(0);
      expect(await readTo(feed, 5)).toEqual(numbered(0, 5).map((record, offset) => ({ offset, ...record })));
      await source.stop();
    }),
  );

  test(
    'a null key and an empty value are told apart from their likes',
    withBed(async (bed) => {
      await bed.append(0, [{ key: null, value: '{}', timestampMs: 7 }]);
      await bed.append(0, [{ key: '', value: 'é\u0000', timestampMs: 8 }]);
      const { source, feed } = await started(bed);
      feed.seek(0);
      const seen = await readTo(feed, 2);
      expect(seen.map(({ key, value }) => [key, value])).toEqual([
        [null, '{}'],
        ['', 'é\u0000'],
      ]);
      await source.stop();
    }),
  );

  test(
    'reading begins where the first seek says',
    withBed(async (bed) => {
      await bed.append(0, numbered(0, 40));
      const { source, feed } = await started(bed);
      feed.seek(30);
      expect((await readTo(feed, 40)).map(({ offset }) => offset)).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39]);
      await source.stop();
    }),
  );

  test(
    'the end is known once it was reached',
    withBed(async (bed) => {
      await bed.append(0, numbered(0, 3));
      const { source, feed } = await started(bed);
      expect(feed.contactMs()).toBe(Number.NEGATIVE_INFINITY);
      feed.seek(0);
      expect(feed.endReachedMs(0)).toBeNull();
      await readTo(feed, 3);
      await feed.poll(1);
      expect(feed.endReachedMs(2)).toBeNull();
      expect(feed.endReachedMs(3)).toBeLessThanOrEqual(feed.contactMs());
      expect(feed.endOffset()).toBe(3);
      await source.stop();
    }),
  );
};

const losingConformance = (withBed: WithBed): void => {
  test(
    'after leaving, a feed is lost: a waiting poll and later ones reject, a commit does nothing',
    withBed(async (bed) => {
      await bed.append(0, numbered(0, 1));
      const { source, feed } = await started(bed);
      feed.seek(0);
      await readTo(feed, 1);
      const waiting = codeOfRejection(feed.poll(30_000));
      await source.stop();
      expect(feed.lost).toBe(true);
      if (bed.live) expect(await waiting).toBe('partition_lost');
      expect(await codeOfRejection(feed.poll(0))).toBe('partition_lost');
      await feed.commit(1);
    }),
  );

  test(
    'a rebalance loses every feed, ends a waiting poll, and the new feed reads from its own seek',
    withBed(async (bed) => {
      if (!bed.rebalance) return;
      await bed.append(0, numbered(0, 4));
      const { source, recorder, feed } = await started(bed);
      feed.seek(0);
      await readTo(feed, 4);
      const waiting = codeOfRejection(feed.poll(30_000));
      await bed.rebalance(source, recorder);
      const again = recorder.feeds.find(({ partition }) => partition === 0);
      expect(await waiting).toBe('partition_lost');
      expect([feed.lost, again?.lost]).toEqual([true, false]);
      again?.seek(2);
      expect((await readTo(again as PartitionFeed, 4)).map(({ offset }) => offset)).toEqual([2, 3]);
      await feed.commit(4);
      expect((await again?.bounds())?.committed).toBeNull();
      await source.stop();
    }),
  );
};

const liveConformance = (withBed: WithBed): void => {
  const whenLive = (story: (bed: SourceBed) => Promise<void>) => withBed(async (bed) => (bed.live ? story(bed) : undefined));

  test(
    'a seek drops what was fetched before it, back and forth',
    whenLive(async (bed) => {
      await bed.append(0, numbered(0, 20));
      const { source, feed } = await started(bed);
      feed.seek(0);
      await readTo(feed, 20);
      feed.seek(5);
      feed.seek(15);
      expect((await readTo(feed, 20))[0].offset).toBe(15);
      feed.seek(5);
      expect((await readTo(feed, 20)).map(({ value }) => value)).toEqual(numbered(5, 20).map(({ value }) => value));
      await source.stop();
    }),
  );

  test(
    'a null value arrives as null',
    whenLive(async (bed) => {
      await bed.append(0, [{ key: 'k', value: null, timestampMs: 9 }]);
      const { source, feed } = await started(bed);
      feed.seek(0);
      expect(await readTo(feed, 1)).toEqual([{ offset: 0, key: 'k', value: null, timestampMs: 9 }]);
      await source.stop();
    }),
  );

  test(
    'a poll at the end gives null when its time is over, and what is appended meanwhile when there is something',
    whenLive(async (bed) => {
      const { source, feed } = await started(bed);
      feed.seek(0);
      expect(await feed.poll(5)).toBeNull();
      const waiting = feed.poll(30_000);
      await bed.append(0, numbered(0, 1));
      const batch = await waiting;
      expect(batch && [recordsOf(batch)[0].value, batch.nextOffset, batch.endOffset]).toEqual(['v0', 1, 1]);
      await source.stop();
    }),
  );

  test(
    'bounds tell the log and what the group has committed',
    whenLive(async (bed) => {
      await bed.append(0, numbered(0, 6));
      const { source, feed } = await started(bed);
      expect(await feed.bounds()).toEqual({ first: 0, end: 6, committed: null });
      await feed.commit(4);
      expect(await feed.bounds()).toEqual({ first: 0, end: 6, committed: 4 });
      await source.stop();
    }),
  );

  test(
    'a position that the log does not hold is refused by name',
    whenLive(async (bed) => {
      await bed.append(0, numbered(0, 2));
      const { source, feed } = await started(bed);
      feed.seek(50);
      expect(await codeOfRejection(feed.poll(20_000))).toBe('position_beyond_log');
      feed.seek(1);
      expect((await readTo(feed, 2)).map(({ offset }) => offset)).toEqual([1]);
      await source.stop();
    }),
  );
};

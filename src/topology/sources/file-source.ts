import { type FileHandle, open } from 'node:fs/promises';
import { asError, StreamError } from '../../errors.ts';
import type { AssignmentListener, Clock, Source } from '../types.ts';
import { FileBatch, FileFeed } from './file-feed.ts';
import { LineScanner } from './file-line.ts';
import { LineFault } from './json-cursor.ts';
import { partitionOf } from './murmur2.ts';

export interface FileSourceOptions {
  topics: readonly string[];
  /** Of every topic. */
  partitions: number;
  clock: Clock;
  /** What may wait for its tasks. Above it reading stands still, however hungry other partitions are, until those tasks have caught up. */
  maxWaitingBytes?: number;
  chunkBytes?: number;
}

const NEWLINE = 0x0a;

/**
 * A file of records (file-line.ts) as topics: read once from front to back, offsets counted per partition from 0. Every partition is
 * fed from the one pass, which moves when a partition has nothing left. Its end is known when everything was read: until then
 * `bounds().end` is Infinity and `endReachedMs` null. A line that is no record ends the source with `bad_line`.
 */
export class FileSource implements Source {
  /** Resolves when the last line was read and handed to its feed. */
  readonly onExhausted: Promise<void>;
  readonly #path: string;
  readonly #options: Required<FileSourceOptions>;
  readonly #scanner: LineScanner;
  /** By topic, then partition. */
  readonly #feeds: FileFeed[];
  readonly #buffer: { bytes: Buffer; length: number };
  #resolveExhausted: () => void = () => undefined;
  #exhausted = false;
  #failure: Error | null = null;
  #listener: AssignmentListener | null = null;
  #file: FileHandle | null = null;
  #reading: Promise<void> | null = null;
  /** The next read, begun already. */
  #ahead: Promise<number> | null = null;
  #line = 0;
  #stopped = false;

  constructor(path: string, options: FileSourceOptions) {
    this.#path = path;
    this.#options = { maxWaitingBytes: 64 << 20, chunkBytes: 1 << 20, ...options };
    this.#scanner = new LineScanner(options.topics);
    const home = { clock: options.clock, readOn: () => this.#readOn(), ended: () => this.#exhausted };
    this.#feeds = options.topics.flatMap((topic) =>
      Array.from({ length: options.partitions }, (_, partition) => new FileFeed(home, topic, partition)),
    );
    this.#buffer = { bytes: Buffer.allocUnsafeSlow(this.#options.chunkBytes), length: 0 };
    this.onExhausted = new Promise((resolve) => {
      this.#resolveExhausted = resolve;
    });
  }

  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** Rejects when the file cannot be opened. */
  async start(listener: AssignmentListener): Promise<void> {
    this.#listener = listener;
    this.#file = await open(this.#path).catch((cause: unknown) => {
      throw new StreamError('bad_setting', `${this.#path} cannot be read: ${asError(cause).message}`, { cause });
    });
    listener.assigned([...this.#feeds]);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const feed of this.#feeds) feed.lose();
    await this.#reading?.catch(() => undefined);
    await this.#ahead?.catch(() => undefined);
    await this.#file?.close();
    this.#file = null;
  }

  partitionCounts(): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(new Map(this.#options.topics.map((topic) => [topic, this.#options.partitions])));
  }

  /** Reads one chunk, for whoever asks at the same time; false when that would leave too much waiting, or there is no more. */
  async #readOn(): Promise<boolean> {
    if (this.#failure) throw this.#failure;
    if (this.#exhausted || this.#stopped) return false;
    if (this.#reading === null) {
      const waitingBytes = this.#feeds.reduce((sum, feed) => sum + feed.waitingBytes, 0);
      if (waitingBytes > this.#options.maxWaitingBytes) return false;
      this.#reading = this.#readChunk().finally(() => {
        this.#reading = null;
      });
    }
    await this.#reading;
    return true;
  }

  async #readChunk(): Promise<void> {
    const buffer = this.#buffer;
    try {
      const bytesRead = await (this.#ahead ?? this.#read());
      this.#ahead = null;
      const { bytes } = buffer;
      const filled = buffer.length + bytesRead;
      const complete = bytesRead === 0 ? filled : bytes.lastIndexOf(NEWLINE, filled - 1) + 1;
      // Batches keep the buffer, so what is left of the last line moves into a new one; a line longer than it gets more room.
      const room = complete === 0 && filled === bytes.length ? 2 * bytes.length : this.#options.chunkBytes;
      if (complete > 0 || room > bytes.length) {
        buffer.bytes = Buffer.allocUnsafeSlow(Math.max(room, 2 * (filled - complete)));
        bytes.copy(buffer.bytes, 0, complete, filled);
      }
      buffer.length = filled - complete;
      // The disk works while these lines are judged. Only where the rest of a line has moved: the old buffer belongs to its batches.
      if (complete > 0 && bytesRead > 0) {
        this.#ahead = this.#read();
        this.#ahead.catch(() => undefined);
      }
      this.#deal(bytes, complete);
      if (bytesRead === 0) this.#end();
    } catch (error) {
      this.#failure = asError(error);
      this.#listener?.failed(this.#failure);
      throw this.#failure;
    }
  }

  async #read(): Promise<number> {
    const { bytes, length } = this.#buffer;
    return (await this.#file?.read(bytes, length, bytes.length - length))?.bytesRead ?? 0;
  }

  #end(): void {
    this.#exhausted = true;
    this.#resolveExhausted();
  }

  /** Scans whole lines and gives each feed its share of them as one batch. */
  #deal(bytes: Buffer, length: number): void {
    const batches = new Array<FileBatch | undefined>(this.#feeds.length);
    try {
      for (let start = this.#line === 0 ? byteOrderMark(bytes, length) : 0; start < length; ) {
        const newline = bytes.indexOf(NEWLINE, start);
        const end = newline < 0 || newline > length ? length : newline;
        this.#line++;
        if (this.#scanner.scan(bytes, start, end)) this.#add(batches, bytes, end - start);
        start = end + 1;
      }
    } catch (error) {
      if (!(error instanceof LineFault)) throw error;
      throw new StreamError('bad_line', `${this.#path}, line ${this.#line}: ${error.message}.`);
    } finally {
      this.#feeds.forEach((feed, i) => {
        const batch = batches[i];
        if (batch) feed.deliver(batch);
      });
    }
  }

  #add(batches: (FileBatch | undefined)[], bytes: Buffer, lineBytes: number): void {
    const { topic, key } = this.#scanner;
    const { partitions } = this.#options;
    const partition = this.#scanner.partition >= 0 ? this.#scanner.partition : this.#partitionOfKey(bytes);
    if (partition >= partitions) throw new LineFault(`partition ${partition} is not below ${partitions}: give more --partitions`);
    const index = topic * partitions + partition;
    const feed = this.#feeds[index];
    let batch = batches[index];
    if (!batch) {
      batch = new FileBatch(feed.topic, partition, feed.endOffset(), bytes);
      batches[index] = batch;
    }
    batch.add(this.#scanner.timestampMs, key, this.#scanner.value, lineBytes);
  }

  #partitionOfKey(bytes: Buffer): number {
    const { key } = this.#scanner;
    // Kafka's clients put it anywhere; here it must be the same place twice in a row.
    if (key.isNull) return 0;
    const { partitions } = this.#options;
    return key.own ? partitionOf(key.own, 0, key.own.length, partitions) : partitionOf(bytes, key.start, key.end, partitions);
  }
}

const byteOrderMark = (bytes: Buffer, length: number): number =>
  length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;

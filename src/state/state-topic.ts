/** What the state needs of a compacted Kafka topic. */

export interface StateRecord {
  key: Uint8Array;
  /** Null: a tombstone; compaction removes both it and what it follows. */
  value: Uint8Array | null;
}

export interface StoredRecord extends StateRecord {
  offset: number;
}

export interface StateTopic {
  partitionCount(): Promise<number>;
  /** Kafka's murmur2, as for keys. */
  partitionOf(name: string, partitions: number): number;
  /**
   * Appends what `make` returns as one batch, acknowledged by all replicas, and resolves with the offset of its first record.
   * Tries again by itself while the broker is away: each attempt calls `make`, for what an attempt without an answer wrote
   * may be there as well, and compaction keeps only the last of records with one key.
   */
  append(partition: number, make: () => readonly StateRecord[]): Promise<number>;
  /** Records with from ≤ offset < to in order, as many at a time as a fetch brought; their bytes are not kept by anyone else. */
  read(partition: number, from: number, to: number): AsyncIterable<readonly StoredRecord[]>;
  /** The offset that the next record will get. */
  end(partition: number): Promise<number>;
  close(): Promise<void>;
}

/** As pino has it. */
export interface StateLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

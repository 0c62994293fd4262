/** When and what ingest sends to `.partials`: to each partition a mark, and the changed cells whose entities hash there. */
import type { PaceSettings, TimeSettings } from '../config.ts';
import { groupName } from '../operators/group.ts';
import { TO_SEND } from '../state/cells.ts';
import type { IngestState } from './ingest-state.ts';
import { CELL_NAMES, type Mark, PartialBody } from './partials.ts';
import { partitionOf } from './sources/murmur2.ts';
import type { FeedStatus } from './stage.ts';
import type { Now, OutRecord, Stream } from './types.ts';

/** A mark goes out at least this often, changes or none. */
const MARK_MS = 1000;
/** More records than this before the end of the log: catching up. */
const CATCHING_UP_RECORDS = 5000;
/** Well under the smallest usual message limit (1 MiB). */
const MAX_RECORD_BYTES = 512 * 1024;

export interface EmitterOptions {
  stream: Stream;
  topic: string;
  partition: number;
  partitions: number;
  partialsPartitions: number;
  time: TimeSettings;
  pace: PaceSettings;
  outputs: { partials: string };
}

export class Emitter {
  readonly #options: EmitterOptions;
  readonly #state: IngestState;
  readonly #partitionOfGroup: number[] = [];
  #claim = 0;
  #emission = 0;
  #sentMs = Number.NEGATIVE_INFINITY;
  #lag = 0;
  #lastRecordMonotonicMs = Number.NEGATIVE_INFINITY;
  #unsent = false;
  /** Kafka time of the oldest record that is not yet sent; Infinity without one. */
  #oldestRecordMs = Number.POSITIVE_INFINITY;

  constructor(options: EmitterOptions, state: IngestState) {
    this.#options = options;
    this.#state = state;
  }

  owned(claim: number, now: Now): void {
    this.#claim = claim;
    this.#emission = 0;
    // Silence is what this owner has waited through itself: a restart at the log's end is not idle at once.
    if (this.#lastRecordMonotonicMs === Number.NEGATIVE_INFINITY) this.#lastRecordMonotonicMs = now.monotonicMs;
  }

  processed(judged: { records: number; oldestMs: number }, lag: number, now: Now): void {
    this.#lag = lag;
    this.#unsent = true;
    if (judged.records > 0) this.#lastRecordMonotonicMs = now.monotonicMs;
    if (judged.oldestMs < this.#oldestRecordMs) this.#oldestRecordMs = judged.oldestMs;
  }

  dueMs(): number {
    if (!this.#unsent) return this.#sentMs + MARK_MS;
    const { emitMs, emitCatchingUpMs } = this.#options.pace;
    return this.#sentMs + (this.#lag > CATCHING_UP_RECORDS ? emitCatchingUpMs : emitMs);
  }

  /** The records to send, or null when it is not time. `waiting`: side outputs are waiting too. */
  emit(now: Now, feed: FeedStatus, force: boolean, waiting: boolean): OutRecord[] | null {
    const due = now.monotonicMs >= this.dueMs();
    if (!due && !(force && (this.#unsent || waiting))) return null;
    const records = this.#records(this.#mark(now, feed));
    this.#sentMs = now.monotonicMs;
    this.#unsent = false;
    this.#oldestRecordMs = Number.POSITIVE_INFINITY;
    return records;
  }

  #mark(now: Now, feed: FeedStatus): Mark {
    const { stream, topic, partition, partitions, time } = this.#options;
    const { position, origin, watermark, lastRecordMs } = this.#state;
    const endMs = feed.endReachedMs(position);
    const silentMs = now.monotonicMs - this.#lastRecordMonotonicMs;
    return {
      stream,
      topic,
      partition,
      partitions,
      origin,
      position,
      watermarkMs: Number.isFinite(watermark.ms) ? watermark.ms : null,
      idle: endMs !== null && silentMs >= time.idleAfterMs,
      endAgeMs: endMs === null ? null : Math.max(0, now.monotonicMs - endMs),
      lastRecordMs: Number.isFinite(lastRecordMs) ? lastRecordMs : null,
      oldestRecordMs: Number.isFinite(this.#oldestRecordMs) ? this.#oldestRecordMs : null,
      claim: this.#claim,
      emission: this.#emission++,
    };
  }

  #records(mark: Mark): OutRecord[] {
    const bodies = Array.from({ length: this.#options.partialsPartitions }, () => [new PartialBody()]);
    const name = (group: number) => groupName(this.#state.groups, group);
    for (const cellName of CELL_NAMES) {
      const cells = this.#state.cells[cellName];
      cells.takeChanged(TO_SEND, (index) => {
        const group = cells.groupOf(index);
        const parts = bodies[this.#partitionOf(group)];
        if (parts[parts.length - 1].byteLength > MAX_RECORD_BYTES) parts.push(new PartialBody());
        const out = parts[parts.length - 1].cell(cellName, group, name);
        out.varint(cells.timeOf(index));
        for (let c = 0; c < cells.columns; c++) out.varint(cells.get(index, c));
      });
    }
    const topic = this.#options.outputs.partials;
    const measured = mark.emission % bodies.length;
    return bodies.flatMap((parts, partition) => {
      const oldestRecordMs = partition === measured ? mark.oldestRecordMs : null;
      const header = { ...mark, oldestRecordMs, parts: parts.length };
      return parts.map((body, part) => ({ topic, partition, key: null, value: body.take({ ...header, part }) }));
    });
  }

  #partitionOf(group: number): number {
    let partition = this.#partitionOfGroup[group];
    if (partition === undefined) {
      const entity = new TextEncoder().encode(groupName(this.#state.groups, group).entity);
      partition = partitionOf(entity, 0, entity.length, this.#options.partialsPartitions);
      this.#partitionOfGroup[group] = partition;
    }
    return partition;
  }
}

/** Which partitions went from one process to another and when, and which duplicates came on both sides of such a move. */
import type { Bed } from './bed.ts';
import type { PlacedRecord } from './kafka.ts';
import type { Worker } from './worker.ts';

/** An ingest partition's state was read from the topic by a process that did not have it. */
export interface Move {
  /** `stream/partition` */
  source: string;
  atMs: number;
  worker: string;
}

interface RestoredLine {
  time: string;
  msg: string;
  stage: string;
  topic: string;
  partition: number;
  position: number;
}

/** From the logs of all starts of all processes; by time. The first owner of a partition has nothing to read. */
export function movesOf(bed: Bed, workers: readonly Worker[]): Move[] {
  const moves: Move[] = [];
  for (const worker of workers) {
    for (const text of worker.allLogs.split('\n').filter((line) => line.includes('"state restored"'))) {
      const { stage, topic, partition, position, time } = JSON.parse(text) as RestoredLine;
      if (stage === 'ingest' && position > 0)
        moves.push({ source: `${bed.streamOf(topic)}/${partition}`, atMs: Date.parse(time), worker: worker.name });
    }
  }
  return moves.sort((a, b) => a.atMs - b.atMs);
}

/** Copies with the same bytes, by when they were sent. */
export class SentTwice {
  readonly #firstMs = new Map<string, number>();
  readonly #pairs: { source: string; firstMs: number; againMs: number }[] = [];

  note({ topic, partition }: PlacedRecord, fingerprint: number, nowMs: number): void {
    const source = `${topic}/${partition}`;
    const name = `${source} ${fingerprint}`;
    const firstMs = this.#firstMs.get(name);
    if (firstMs === undefined) this.#firstMs.set(name, nowMs);
    else this.#pairs.push({ source, firstMs, againMs: nowMs });
  }

  /** How many have a move of their own partition between the first copy and a later one. */
  straddling(moves: readonly Move[]): number {
    return this.#pairs.filter(({ source, firstMs, againMs }) =>
      moves.some((move) => move.source === source && firstMs < move.atMs && move.atMs < againMs),
    ).length;
  }
}

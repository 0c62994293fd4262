/** Counts side outputs as a reader of the topics would: distinct by source, repeats dropped. */
import type { OutRecord } from '../topology/types.ts';

export interface SourcePlace {
  topic: string;
  partition: number;
  offset: number;
}

export class SideTally {
  /** By topic and reason: `topic/partition/offset` of the source. */
  readonly #seen = new Map<string, Set<string>>();

  /** Notes the side outputs; returns the records of the topic named, which are none. */
  take(records: readonly OutRecord[], partials: string): OutRecord[] {
    const others: OutRecord[] = [];
    for (const record of records) {
      if (record.topic === partials) others.push(record);
      else this.#note(record);
    }
    return others;
  }

  /** Distinct sources of one kind, e.g. `late/window_closed`; by the end of the topic's name. */
  count(output: string, reason?: string): number {
    let count = 0;
    for (const [name, sources] of this.#seen) {
      const [topic, why] = name.split('\n');
      if (topic.endsWith(output) && (reason === undefined || why === reason)) count += sources.size;
    }
    return count;
  }

  suspected(): SourcePlace[] {
    const places: SourcePlace[] = [];
    for (const [name, sources] of this.#seen) {
      if (!name.endsWith('\nsuspected_duplicate')) continue;
      for (const source of sources) {
        const [topic, partition, offset] = source.split('\n');
        places.push({ topic, partition: Number(partition), offset: Number(offset) });
      }
    }
    return places;
  }

  #note({ topic, headers = {} }: OutRecord): void {
    const name = `${topic}\n${headers['suspected'] === 'true' ? 'suspected_duplicate' : (headers['reason'] ?? '')}`;
    const sources = this.#seen.get(name) ?? new Set();
    this.#seen.set(name, sources.add(`${headers['source_topic']}\n${headers['source_partition']}\n${headers['source_offset']}`));
  }
}

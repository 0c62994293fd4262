/** Where the gate reads `pace:` keys. The real one is Redis; a study brings one in memory. */
import type { PaceText } from './pace-text.ts';

export interface PaceReading {
  /** Redis TIME while the keys were read, epoch ms. */
  redisMs: number;
  /** For each key asked for, in order; null where no answer came for that key. */
  texts: readonly (PaceText | null)[];
}

export interface PaceReader {
  /** Whole keys, or their `BRIEF_FIELDS`. Of no keys it reads the time. Rejects when nothing was answered. */
  read(keys: readonly string[], areWhole: boolean): Promise<PaceReading>;
  /** Answers do not come: what is still under way is given up, so that nothing piles up, and the connection made anew. */
  reconnect(): void;
  close(): void;
}

export interface ReaderListener {
  /** There is a connection: who waits to read need wait no longer. */
  onReady(): void;
}

import { StreamError } from '../errors.ts';
import type { Clock } from './types.ts';

const RETRY_MS = 1000;

export interface CountParts {
  ask: () => Promise<ReadonlyMap<string, number>>;
  clock: Clock;
  stopping: AbortSignal;
  trouble: (error: StreamError) => void;
}

/** Asks until there is an answer; rejects with what asking again would not mend, or when stopped meanwhile. */
export async function countPartitions({ ask, clock, stopping, trouble }: CountParts): Promise<ReadonlyMap<string, number>> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof StreamError) || error.action !== 'retry' || stopping.aborted) throw error;
      trouble(error);
      await clock.sleep(RETRY_MS, stopping);
    }
  }
}

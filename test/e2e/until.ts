import { setTimeout as sleep } from 'node:timers/promises';

/** Looks every 50 ms until it holds; rejects with `what` when it never does. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  for (const deadline = performance.now() + ms; performance.now() < deadline; await sleep(50)) if (await holds()) return;
  throw new Error(`not within ${ms} ms: ${what}`);
}

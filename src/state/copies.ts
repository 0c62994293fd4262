/** What lies in a state folder of earlier runs: which partitions this machine had last, and copies that nobody will ask for again. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskId } from '../topology/types.ts';

export interface KeptState extends TaskId {
  path: string;
  /** When a file of it was last written, epoch ms by the file system. */
  writtenMs: number;
}

/** Of states in one folder, those that were written to until this long before the last of them were here at the end. */
const LATELY_MS = 10 * 60_000;
/** A copy so much older than the newest is of a partition that has long gone elsewhere; made anew it costs a restore. */
const STALE_MS = 7 * 86_400_000;

/** The states below `<folder>/<stage>/<topic>/<partition>`; none where there is no such folder. */
export async function keptIn(folder: string): Promise<KeptState[]> {
  const found: KeptState[] = [];
  for (const stage of ['ingest', 'evaluate'] as const) {
    for (const topic of await entriesOf(join(folder, stage))) {
      for (const partition of await entriesOf(join(folder, stage, topic))) {
        const path = join(folder, stage, topic, partition);
        const writtenMs = /^\d+$/.test(partition) ? await lastWritten(path) : null;
        const name = nameOf(topic);
        if (writtenMs !== null && name !== null) found.push({ stage, topic: name, partition: Number(partition), path, writtenMs });
      }
    }
  }
  return found;
}

/** Partitions by topic that this folder's processes worked on last: to be asked for again, since their state is here. */
export function heldLately(kept: readonly KeptState[]): Record<string, number[]> {
  const newestMs = newest(kept);
  const held: Record<string, number[]> = {};
  for (const { topic, partition } of kept.filter(({ writtenMs }) => writtenMs >= newestMs - LATELY_MS)) {
    held[topic] = [...(held[topic] ?? []), partition];
  }
  return held;
}

/** Deletes copies, never state itself: only for a folder that everything can be fetched again into. Returns what went. */
export async function dropStaleCopies(kept: readonly KeptState[]): Promise<KeptState[]> {
  const stale = kept.filter(({ writtenMs }) => writtenMs < newest(kept) - STALE_MS);
  for (const { path } of stale) await rm(path, { recursive: true, force: true });
  return stale;
}

/** Null where nothing is, or is any more. */
async function lastWritten(path: string): Promise<number | null> {
  const times = await Promise.all((await entriesOf(path)).map((name) => stat(join(path, name)).catch(() => null)));
  const known = times.filter((each) => each !== null).map(({ mtimeMs }) => mtimeMs);
  return known.length === 0 ? null : Math.max(...known);
}

/** The topic that a folder's name was made of; null for a folder that is not ours. */
function nameOf(folder: string): string | null {
  try {
    return decodeURIComponent(folder);
  } catch {
    return null;
  }
}

const newest = (kept: readonly KeptState[]): number => Math.max(...kept.map(({ writtenMs }) => writtenMs));

const entriesOf = async (path: string): Promise<string[]> => {
  try {
    return await readdir(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(String((error as NodeJS.ErrnoException).code))) return [];
    throw error;
  }
};

/**
 * State in a local folder: `<folder>/<stage>/<topic>/<partition>/<claim>.log`, and `<folder>/hash-seed`. Processes of one
 * machine may share it. Replicas on several machines must not: a partition that moves would start again from the log.
 */

import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { StreamError } from '../errors.ts';
import type { CommitLog, StateStore, TaskId } from '../topology/types.ts';
import { DirCommitLog } from './commit-log-dir.ts';
import { Staging } from './frame-writer.ts';
import { SEED_BYTES } from './hash.ts';
import { folderOf, unwritable } from './state-folder.ts';

export interface StateStoreOptions {
  /** Wins over the seed that the store keeps (STATE_HASH_SEED): 8 bytes. */
  hashSeed?: Uint8Array;
}

export class DirStateStore implements StateStore {
  readonly #folder: string;
  readonly #hashSeed: Uint8Array | undefined;
  readonly #logs = new Set<DirCommitLog>();
  readonly #staging = new Staging();

  constructor(folder: string, { hashSeed }: StateStoreOptions = {}) {
    this.#folder = folder;
    this.#hashSeed = hashSeed;
  }

  open(task: TaskId): CommitLog {
    const log = new DirCommitLog(join(this.#folder, ...folderOf(task)), `${task.stage}/${task.topic}/${task.partition}`, this.#staging);
    this.#logs.add(log);
    return log;
  }

  /** Rejects with `state_unwritable`, or `state_corrupt` when the file holds no seed. */
  async hashSeed(): Promise<Uint8Array> {
    if (this.#hashSeed) return this.#hashSeed;
    const path = join(this.#folder, 'hash-seed');
    const kept = (await readSeed(path)) ?? (await this.#drawSeed(path));
    if (!/^[0-9a-f]{16}\s*$/i.test(kept)) {
      throw new StreamError('state_corrupt', `${path} does not hold ${2 * SEED_BYTES} hex digits: restore it, or set STATE_HASH_SEED.`);
    }
    return Uint8Array.from(Buffer.from(kept.trim(), 'hex'));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#logs].map((log) => log.close()));
    this.#logs.clear();
  }

  /** Of several processes that draw at once, the first to link its file wins, and all read that one. */
  async #drawSeed(path: string): Promise<string> {
    try {
      await mkdir(this.#folder, { recursive: true });
      const temporary = `${path}.${randomBytes(6).toString('hex')}`;
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${randomBytes(SEED_BYTES).toString('hex')}\n`);
        await file.sync();
        await link(temporary, path).catch((error) => {
          if (error.code !== 'EEXIST') throw error;
        });
      } finally {
        await file.close();
        await unlink(temporary);
      }
    } catch (error) {
      throw unwritable(error, this.#folder);
    }
    return (await readSeed(path)) ?? '';
  }
}

/** Null when there is no such file. */
const readSeed = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
};

/** Damage to a state folder. Segment 2 is the first owner's snapshot and what it wrote after it, segment 3 the second owner's. */
import { copyFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DirStateStore } from '../../src/state/dir-store.ts';
import { commitParts } from '../../src/state/segment.ts';
import { FRAME_HEAD_BYTES, frameHead, MAGIC } from '../../src/state/segment-file.ts';
import { folderOf } from '../../src/state/state-folder.ts';
import type { Commit } from '../../src/topology/types.ts';
import { TASK } from './commit-log.ts';
import type { Damage, DamageBench, DamageTable } from './damage.ts';
import { Owner, standingStill } from './damage-life.ts';
import { zombies } from './damage-zombies.ts';

const FIRST = 2;
const SECOND = 3;

export class FolderBench implements DamageBench {
  readonly folder: string;
  readonly #stores: DirStateStore[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<FolderBench> {
    return new FolderBench(await mkdtemp(join(tmpdir(), 'exposure-stream-damage-')));
  }

  process(): DirStateStore {
    const store = new DirStateStore(this.folder);
    this.#stores.push(store);
    return store;
  }

  async claims(): Promise<number[]> {
    return (await readdir(join(this.folder, ...folderOf(TASK)))).map((name) => Number.parseInt(name, 10)).sort((a, b) => a - b);
  }

  segment(claim: number): string {
    return join(this.folder, ...folderOf(TASK), `${String(claim).padStart(10, '0')}.log`);
  }

  /** Where each frame begins, and where the last one ends. The first is the head. */
  async frames(claim: number): Promise<number[]> {
    const bytes = await readFile(this.segment(claim));
    const offsets: number[] = [MAGIC.length];
    for (let at = MAGIC.length; at < bytes.length; offsets.push(at)) at += FRAME_HEAD_BYTES + bytes.readUInt32LE(at);
    return offsets;
  }

  async edit(path: string, change: (bytes: Buffer) => Uint8Array): Promise<void> {
    await writeFile(path, change(await readFile(path)));
  }

  /** Flips a bit in the middle of a frame; -1 is the last one. */
  async flipFrame(claim: number, frame: number): Promise<void> {
    const frames = await this.frames(claim);
    const [start, end] = [frames.slice(0, -1).at(frame) as number, frames.slice(1).at(frame) as number];
    await this.edit(this.segment(claim), (bytes) => flipped(bytes, (start + end) >> 1));
  }

  async cutFrame(claim: number, frame: number): Promise<void> {
    const frames = await this.frames(claim);
    await truncate(this.segment(claim), ((frames.slice(0, -1).at(frame) as number) + (frames.slice(1).at(frame) as number)) >> 1);
  }

  /** Puts the second commit there twice. */
  async pushIn(claim: number): Promise<void> {
    const [, , start, end] = await this.frames(claim);
    await this.edit(this.segment(claim), (bytes) => Buffer.concat([bytes.subarray(0, end), bytes.subarray(start)]));
  }

  async remove(...claims: number[]): Promise<void> {
    for (const claim of claims) await rm(this.segment(claim));
  }

  async land(_log: unknown, claim: number, commit: Commit): Promise<void> {
    const parts = commitParts(commit);
    await this.edit(this.segment(claim), (bytes) => Buffer.concat([bytes, frameHead(parts, bytes.length), ...parts]));
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()));
    await rm(this.folder, { recursive: true });
  }
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes[at] ^ 0x10);

type Rows = Damage<FolderBench>[];

const corrupted = (what: string, outcome: Damage<FolderBench>['outcome'], after: (bench: FolderBench) => Promise<void>): Rows[number] => ({
  kind: 'a corrupted byte',
  what,
  outcome,
  after,
});

const CORRUPTED: Rows = [
  corrupted('in the last commit', 'harmless', (bench) => bench.flipFrame(SECOND, -1)),
  corrupted('in a commit before the last', 'state_corrupt', (bench) => bench.flipFrame(SECOND, -2)),
  corrupted('in the head of the newest segment', 'state_corrupt', (bench) => bench.flipFrame(SECOND, 0)),
  corrupted('in a commit of the segment before', 'state_corrupt', (bench) => bench.flipFrame(FIRST, -1)),
  corrupted('in a slice of the snapshot', 'state_corrupt', (bench) => bench.flipFrame(FIRST, 1)),
  corrupted('in the mark of the snapshot', 'state_corrupt', (bench) => bench.flipFrame(FIRST, 3)),
  corrupted('in the head of the segment before', 'state_corrupt', (bench) => bench.flipFrame(FIRST, 0)),
  corrupted('in the name of the format', 'state_corrupt', (bench) => bench.edit(bench.segment(SECOND), (bytes) => flipped(bytes, 1))),
  corrupted('in the number of the format', 'state_newer_format', (bench) =>
    bench.edit(bench.segment(SECOND), (bytes) => flipped(bytes, MAGIC.length - 1)),
  ),
  corrupted('in the hash seed, so that it is none', 'state_corrupt', (bench) =>
    bench.edit(join(bench.folder, 'hash-seed'), (bytes) => flipped(bytes, 3)),
  ),
  corrupted('in the hash seed, so that it is another', 'state_other_seed', (bench) =>
    bench.edit(join(bench.folder, 'hash-seed'), (bytes) => bytes.with(3, bytes[3] === 0x31 ? 0x32 : 0x31)),
  ),
  {
    kind: 'a corrupted byte',
    what: 'in what a zombie wrote after its time',
    outcome: 'harmless',
    later: async (bench, first) => {
      await expect(first.log.append(first.next())).rejects.toMatchObject({ code: 'claim_lost' });
      await bench.land(first.log, FIRST, first.next());
      await bench.flipFrame(FIRST, -1);
    },
  },
];

const TRUNCATED: Rows = [
  { kind: 'a truncated file', what: 'the newest, in its last commit', outcome: 'harmless', after: (bench) => bench.cutFrame(SECOND, -1) },
  { kind: 'a truncated file', what: 'the newest, in its first commit', outcome: 'harmless', after: (bench) => bench.cutFrame(SECOND, 1) },
  { kind: 'a truncated file', what: 'the newest, in its head', outcome: 'harmless', after: (bench) => bench.cutFrame(SECOND, 0) },
  { kind: 'a truncated file', what: 'the newest, to nothing', outcome: 'harmless', after: (bench) => truncate(bench.segment(SECOND)) },
  { kind: 'a truncated file', what: 'one before', outcome: 'state_corrupt', after: (bench) => bench.cutFrame(FIRST, -1) },
  { kind: 'a truncated file', what: 'one before, to nothing', outcome: 'state_corrupt', after: (bench) => truncate(bench.segment(FIRST)) },
  {
    kind: 'a truncated file',
    what: 'the only one, to nothing: all is counted anew',
    outcome: 'harmless',
    alone: true,
    after: (bench) => truncate(bench.segment(FIRST)),
  },
  {
    kind: 'a truncated file',
    what: 'the only one, to nothing, and the input has lost its beginning',
    outcome: 'state_lost',
    alone: true,
    inputBegins: 1,
    after: (bench) => truncate(bench.segment(FIRST)),
  },
  {
    kind: 'a truncated file',
    what: 'the only one, before the mark of its snapshot: what that replaced is gone',
    outcome: 'state_corrupt',
    alone: true,
    after: (bench) => bench.cutFrame(FIRST, 2),
  },
  {
    kind: 'a truncated file',
    what: 'the hash seed',
    outcome: 'state_corrupt',
    after: ({ folder }) => truncate(join(folder, 'hash-seed'), 7),
  },
];

const MISSING: Rows = [
  { kind: 'a missing segment', what: 'the newest', outcome: 'harmless', after: (bench) => bench.remove(SECOND) },
  {
    kind: 'a missing segment',
    what: 'the newest, and the input has lost what it held',
    outcome: 'position_before_log',
    inputBegins: 141,
    after: (bench) => bench.remove(SECOND),
  },
  { kind: 'a missing segment', what: 'one before', outcome: 'state_corrupt', after: (bench) => bench.remove(FIRST) },
  { kind: 'a missing segment', what: 'all of them', outcome: 'harmless', after: (bench) => bench.remove(FIRST, SECOND) },
  {
    kind: 'a missing segment',
    what: 'all of them, and the input has lost its beginning',
    outcome: 'state_lost',
    inputBegins: 1,
    after: (bench) => bench.remove(FIRST, SECOND),
  },
  {
    kind: 'a missing segment',
    what: 'the hash seed: another is drawn',
    outcome: 'state_other_seed',
    after: ({ folder }) => rm(join(folder, 'hash-seed')),
  },
];

const DUPLICATED: Rows = [
  {
    kind: 'a duplicated commit',
    what: 'the last frame again',
    outcome: 'harmless',
    after: async (bench) => {
      const start = (await bench.frames(SECOND)).at(-2) as number;
      await bench.edit(bench.segment(SECOND), (bytes) => Buffer.concat([bytes, bytes.subarray(start)]));
    },
  },
  {
    kind: 'a duplicated commit',
    what: 'that pushes all that follows back: nothing is sound from there on',
    outcome: 'harmless',
    after: (bench) => bench.pushIn(SECOND),
  },
  {
    kind: 'a duplicated commit',
    what: 'that pushes all that follows back, in the segment before',
    outcome: 'state_corrupt',
    after: (bench) => bench.pushIn(FIRST),
  },
  {
    kind: 'a duplicated commit',
    what: 'written anew behind the last one',
    outcome: 'harmless',
    later: async (bench, _first, second) => {
      const commit = second.next();
      await second.log.append(commit);
      await second.until(second.life.leftAt);
      await bench.land(second.log, SECOND, commit);
    },
  },
  {
    kind: 'a duplicated commit',
    what: 'that stands still, written twice',
    outcome: 'harmless',
    later: async (bench, _first, second) => {
      await second.until(second.life.leftAt);
      const commit = await standingStill(second);
      await bench.land(second.log, SECOND, commit);
    },
  },
  {
    kind: 'a duplicated commit',
    what: 'the segment before as a later one, as a careless backup leaves it',
    outcome: 'harmless',
    after: (bench) => copyFile(bench.segment(FIRST), bench.segment(SECOND + 1)),
  },
  {
    kind: 'a duplicated commit',
    what: 'the segment before in the place of the newest',
    outcome: 'harmless',
    after: (bench) => copyFile(bench.segment(FIRST), bench.segment(SECOND)),
  },
];

export const FOLDER: DamageTable<FolderBench> = {
  store: 'folder',
  bench: () => FolderBench.open(),
  damages: [...CORRUPTED, ...TRUNCATED, ...MISSING, ...DUPLICATED, ...zombies<FolderBench>()],
  impossible: [
    {
      kind: 'a missing chunk',
      cannot: 'a commit of any size is one frame, with one checksum',
      check: async (bench, life) => {
        const owner = await Owner.open(life, bench.process());
        await owner.log.append({ from: owner.stage.position, to: owner.stage.position, changes: new Uint8Array(5_000_000) });
        expect(await bench.frames(SECOND + 1)).toHaveLength(3);
      },
    },
  ],
};

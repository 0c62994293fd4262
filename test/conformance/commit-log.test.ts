import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteWriter } from '../../src/state/bytes.ts';
import { DirStateStore } from '../../src/state/dir-store.ts';
import { MemoryDisk, MemoryStateStore } from '../../src/state/memory-store.ts';
import { frameHead, KIND, writeDurably } from '../../src/state/segment-file.ts';
import { folderOf } from '../../src/state/state-folder.ts';
import { commitLogConformance, TASK } from './commit-log.ts';
import { memoryTopicBench } from './topic-bench.ts';

commitLogConformance('memory', async () => {
  const disk = new MemoryDisk();
  return {
    process: () => new MemoryStateStore({ disk }),
    land: async (_log, claim, commit) => {
      disk.logOf(`${TASK.stage}/${TASK.topic}/${TASK.partition}`).push({ claim, commit });
    },
    close: async () => {},
  };
});

commitLogConformance('folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'exposure-stream-state-'));
  const stores: DirStateStore[] = [];
  return {
    process: () => {
      const store = new DirStateStore(folder);
      stores.push(store);
      return store;
    },
    land: async (_log, claim, { from, to, changes }) => {
      const path = join(folder, ...folderOf(TASK), `${String(claim).padStart(10, '0')}.log`);
      const prefix = new ByteWriter();
      prefix.u8(KIND.commit);
      prefix.varint(from);
      prefix.varint(to);
      const parts = [prefix.take(), changes];
      const { size } = await stat(path);
      const file = await open(path, 'r+');
      await writeDurably(file, [frameHead(parts, size), ...parts], size);
      await file.close();
    },
    close: async () => {
      await Promise.all(stores.map((store) => store.close()));
      await rm(folder, { recursive: true });
    },
  };
});

commitLogConformance('topic in memory, with copies', () => memoryTopicBench({ copies: true }));
commitLogConformance('topic in memory, without copies', () => memoryTopicBench({ copies: false }));

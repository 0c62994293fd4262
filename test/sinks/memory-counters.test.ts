import { expect, it } from 'vitest';
import { MemoryCounterStore, MemoryCounters } from '../../src/sinks/memory-counters.ts';
import { counterSinkConformance } from '../conformance/counter-sink.ts';

counterSinkConformance('MemoryCounters', async () => {
  const store = new MemoryCounterStore(() => 1_770_000_000_000);
  return {
    sink: () => new MemoryCounters({ store }),
    read: async (key) => store.get(key)?.fields ?? null,
    expiryMs: async (key) => store.get(key)?.expiryMs ?? null,
    wipe: async () => store.wipe(),
    plant: async (key, fields) => store.plant(key, { fields, expiryMs: null }),
    close: async () => {},
  };
});

const writes = ['a', 'b', 'c', 'd', 'e'].map((key) => ({ key, fields: { n: '1' }, expiryMs: 1_000 }));
const writer = { partition: 0, epoch: 1, version: 4 };

it('a crash inside a batch leaves a prefix of it applied, and no marker', async () => {
  let calls = 0;
  const crash = async (label: string): Promise<void> => {
    calls += 1;
    if (label === 'counters.keys.before' && calls > 2) throw new Error('crash');
  };
  const sink = new MemoryCounters({ keysPerStep: 2, step: crash });
  await expect(sink.write(writer, writes)).rejects.toThrow('crash');
  expect(sink.store.keys()).toEqual(['a', 'b']);
});

it('a reply that is lost after the marker moved is not taken for lost data by the next write', async () => {
  let loseReply = true;
  const sink = new MemoryCounters({
    step: async (label) => {
      if (label === 'counters.marker.after' && loseReply) throw new Error('reply lost');
    },
  });
  await sink.write({ ...writer, version: 0 }, []).catch(() => {});
  loseReply = false;
  expect((await sink.write(writer, writes)).dataLost).toBe(false);
});

it('an old dump comes back as it was, and its stale keys are overwritten by the same version again', async () => {
  const sink = new MemoryCounters();
  await sink.write(writer, writes);
  const dump = sink.store.dump();
  await sink.write({ ...writer, version: 5 }, [{ key: 'a', fields: { n: '2' }, expiryMs: 1_000 }]);
  sink.store.restore(dump);
  expect(sink.get('a')).toMatchObject({ n: '1', version: '4' });
  expect((await sink.write({ ...writer, version: 5 }, [{ key: 'a', fields: { n: '2' }, expiryMs: 1_000 }])).dataLost).toBe(true);
  expect(sink.get('a')).toMatchObject({ n: '2', version: '5' });
});

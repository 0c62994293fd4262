/** Where the platform was told to run no compiled code (`node --jitless`), all is done by TypeScript, and nothing is lost but time. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { KEYS_OF_BLOCK, KeyBlock } from '../../src/state/key-block.ts';
import type { ListedRecord } from '../../src/topology/sources/listed-batch.ts';
import { STREAMS, type Stream } from '../../src/topology/types.ts';
import { Staged } from './staged.ts';

const START_MS = 1_790_000_000_000;
/** Their ids take more than what always lies in a plain array. */
const RECORDS = 150_000;
const PORTION = 5000;

beforeAll(() => {
  vi.stubGlobal('WebAssembly', undefined);
  vi.resetModules();
});

afterAll(() => {
  vi.unstubAllGlobals();
});

function recordAt(stream: Stream, offset: number): ListedRecord {
  const timestampMs = START_MS + offset;
  const isAgain = offset % 41 === 0;
  const ids = { event_id: `e${isAgain ? Math.floor(offset / 2) : offset}`, event_ts: timestampMs };
  const group = { experiment_id: `x${offset % 5}`, variant_id: `v${offset % 2}`, unit_id: `u${(offset * 7919) % 50_021}` };
  const spent = { campaign_id: `c${offset % 17}`, spend_micros: offset % 1000, user_id: `u${offset % 99}`, surface: `s${offset % 9}` };
  const value = Buffer.from(JSON.stringify({ ...ids, ...(stream === 'impressions' ? spent : group) }));
  return { offset, timestampMs, key: Buffer.from('k'), value };
}

test.each(STREAMS)('%s count the same as by compiled code, and are restored the same', async (stream) => {
  const { Staged: Plain } = await import('./staged.ts');
  const [compiled, plain] = [new Staged(stream), new Plain(stream)];
  for (let from = 0; from < RECORDS; from += PORTION) {
    const records = Array.from({ length: PORTION }, (_, i) => recordAt(stream, from + i));
    if (from === 20 * PORTION) plain.restore();
    compiled.process(records);
    plain.process(records);
    expect(plain.commit().length).toBe(compiled.commit().length);
  }
  expect(plain.outcome()).toEqual(compiled.outcome());
  expect(plain.stage.state.totals.dispositions[1]).toBeGreaterThan(1000);
});

test('a table keeps what is written while it grows; a large one asks for another to grow into, for copying it at once would take too long', async () => {
  const { GrowingSlots } = await import('../../src/state/growing-slots.ts');
  const { MemoryBudget } = await import('../../src/state/memory-budget.ts');
  const budget = new MemoryBudget();
  const slots = new GrowingSlots(budget, () => null);
  for (const size of [1000, 60_000, 300_000, 900_000]) {
    const isLarge = slots.byteLength > 2 ** 19;
    expect(slots.reaches(size)).toBe(!isLarge);
    slots.grow(size);
    slots.words[2 * size - 1] = size;
    expect(budget.usedBytes).toBe(slots.byteLength);
  }
  expect([1000, 60_000, 300_000, 900_000].map((size) => slots.words[2 * size - 1])).toEqual([1000, 60_000, 300_000, 900_000]);
  expect([slots.compiled, slots.words.filter((word) => word !== 0).length]).toEqual([null, 4]);
});

test('suspects stay where their tables are copied to another array as they become more', async () => {
  const { SlicedKeys } = await import('../../src/state/sliced-keys.ts');
  const store = new SlicedKeys({ sliceMs: 1000, ttlMs: 600_000 });
  const block = new KeyBlock();
  const addedOf = (from: number): number => {
    block.clear();
    for (let i = from; i < from + KEYS_OF_BLOCK; i++) block.push(i, Math.imul(i, 0x9e37_79b1) >>> 0, START_MS + Math.floor(i / 20));
    store.addBlock(block);
    return block.added;
  };
  const many = 3000 * KEYS_OF_BLOCK;
  for (let from = 0; from < many; from += KEYS_OF_BLOCK) expect(addedOf(from)).toBe(KEYS_OF_BLOCK);
  for (let from = 0; from < many; from += KEYS_OF_BLOCK) expect(addedOf(from)).toBe(0);
  expect(store.byteLength).toBeGreaterThan(2 ** 21);
});

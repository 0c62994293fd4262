import { expect, test } from 'vitest';
import { ByteReader } from '../../src/state/bytes.ts';
import { FingerprintStore } from '../../src/state/fingerprints.ts';
import { KeyBlock } from '../../src/state/key-block.ts';
import { IngestJournal, type JournalVisitor, readJournal } from '../../src/topology/ingest-journal.ts';

const HOUR_MS = 3_600_000;

/** As it lies in logs since format 4: keys of one bucket in a run, those of several one by one, and the end. */
const BYTES =
  '0c2c02785634120df0adba01000080ffffffff' + // A run in hour 44 of two keys,
  '0d2d010300000004000000' + // one of suspects,
  '01050000000600000001' + // a key in hour 1
  '01070000000800000002' + // and one in hour 2,
  '09'; // the end.

/** Enters keys into a store of its own; of every block the second is a duplicate. */
function blockOf(...keys: [hi: number, lo: number, ts: number][]): KeyBlock {
  const block = new KeyBlock();
  for (const [hi, lo, ts] of keys) for (let twice = 0; twice < 2; twice++) block.push(hi, lo, ts);
  new FingerprintStore({ bucketMs: HOUR_MS, ttlMs: 60 * HOUR_MS }).addBlock(block);
  return block;
}

test('keys that were added are written in runs of a bucket, and nothing of those that were there', () => {
  const journal = new IngestJournal();
  journal.dedupBlock(blockOf([0x1234_5678, 0xbaad_f00d, 44 * HOUR_MS], [0x8000_0001, 0xffff_ffff, 45 * HOUR_MS - 1]), HOUR_MS);
  journal.suspectBlock(blockOf([3, 4, 45 * HOUR_MS]), HOUR_MS);
  journal.dedupBlock(blockOf([5, 6, HOUR_MS], [7, 8, 2 * HOUR_MS]), HOUR_MS);
  journal.end();
  expect(Buffer.from(journal.take()).toString('hex')).toBe(BYTES);
});

test('what logs of format 4 hold is read', () => {
  const told: unknown[] = [];
  const visitor = {
    dedup: (...key: number[]) => void told.push(['dedup', ...key]),
    suspect: (...key: number[]) => void told.push(['suspect', ...key]),
  } as Partial<JournalVisitor> as JournalVisitor;
  expect(readJournal(new ByteReader(Buffer.from(BYTES, 'hex')), visitor)).toBe(2);
  expect(told).toEqual([
    ['dedup', 0x1234_5678, 0xbaad_f00d, 44],
    ['dedup', 0x8000_0001, 0xffff_ffff, 44],
    ['suspect', 3, 4, 45],
    ['dedup', 5, 6, 1],
    ['dedup', 7, 8, 2],
  ]);
});

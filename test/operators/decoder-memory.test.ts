import { expect, test } from 'vitest';
import { CONFIG_BYTES, DecoderMemory } from '../../src/operators/decoder-memory.ts';
import { RecordColumns } from '../../src/topology/sources/record-columns.ts';

const RECORD_BYTES = 32;

test('columns take all that lies behind the bytes, and not a record more', () => {
  const memory = DecoderMemory.make(1 << 16);
  const at = memory?.roomFor(0)?.at;
  if (memory === null || at === undefined) return;
  const capacity = Math.floor((memory.buffer.byteLength - at) / RECORD_BYTES);
  for (const more of [1, 2, 3]) expect(memory.roomFor(capacity + more)).toBeNull();
  const columns = new RecordColumns(capacity, memory.roomFor(capacity));
  expect([columns.capacity, columns.isGuest]).toEqual([capacity, true]);
  expect(memory.roomFor(1)).toBeNull();
});

test('of many configurations each lies where it is said to, when it is said, and beside nothing else', () => {
  const memory = DecoderMemory.make(1 << 16);
  if (memory === null) return;
  const columns = memory.bytes.slice(memory.columns.flags.byteOffset - (memory.columns.flags.byteOffset % (1 << 16)));
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 20; i++) {
      const image = new Uint8Array(CONFIG_BYTES).fill(i + 1);
      const at = memory.config(`config ${i}`, image);
      expect(memory.bytes.slice(at, at + CONFIG_BYTES)).toEqual(image);
      expect(memory.config(`config ${i}`, image)).toBe(at);
    }
  }
  expect(memory.bytes.slice(1 << 16)).toEqual(columns);
});

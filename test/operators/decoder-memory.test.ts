import { expect, test, vi } from 'vitest';
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

test('a system that has refused such memory is not asked again: each time the whole heap would be collected first', async () => {
  let asked = 0;
  const Memory = function Refused(): void {
    asked++;
    throw new RangeError('could not allocate memory');
  };
  vi.stubGlobal('WebAssembly', Object.assign(Object.create(Reflect.get(globalThis, 'WebAssembly')), { Memory }));
  vi.resetModules();
  const { DecoderMemory: Refusing } = await import('../../src/operators/decoder-memory.ts');
  const { ResponsePool } = await import('../../src/topology/sources/response-pool.ts');
  vi.unstubAllGlobals();
  expect([Refusing.make(1 << 16), Refusing.make(1), asked]).toEqual([null, null, 1]);
  const pool = new ResponsePool();
  const { buffer } = pool.take(1 << 20);
  pool.hold(buffer)();
  expect([pool.take(1 << 20).buffer === buffer, asked]).toEqual([true, 1]);
});

import fc from 'fast-check';
import { compressFrameSync } from 'lz4-napi';
import { describe, expect, test } from 'vitest';
import { CODECS, MAX_BATCH_BYTES } from '../../../src/topology/sources/codecs.ts';

const SNAPPY = 2;
const LZ4 = 3;
const NAMES: [string, number][] = [
  ['gzip', 1],
  ['snappy', SNAPPY],
  ['lz4', LZ4],
  ['zstd', 4],
];
const KIB_32 = 32 * 1024;

/** As Java's client frames snappy. */
const framed = (blocks: readonly Buffer[]): Buffer => {
  const header = Buffer.from([130, 83, 78, 65, 80, 80, 89, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  const length = (block: Buffer): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(block.length);
    return bytes;
  };
  return Buffer.concat([header, ...blocks.flatMap((block) => [length(block), block])]);
};

test.each(NAMES)('whatever %s packs it unpacks, and what is cut short or goes on it refuses', async (name, number) => {
  const { compress, decompress } = CODECS[number];
  const repeated = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.integer({ min: 1, max: 5000 }));
  const content = repeated.map(([part, times]) => Buffer.concat(Array<Uint8Array>(times).fill(part)));
  await fc.assert(
    fc.asyncProperty(content, async (plain) => {
      const packed = await compress(plain);
      expect((await decompress(packed)).equals(plain)).toBe(true);
      // Raw snappy has no end of its own.
      if (name === 'snappy') return;
      await expect(decompress(packed.subarray(0, -1))).rejects.toBeInstanceOf(Error);
    }),
    { numRuns: 50 },
  );
});

describe('snappy in frames', () => {
  const packedBlock = (content: string): Promise<Buffer> => CODECS[SNAPPY].compress(Buffer.alloc(KIB_32, content));

  test('blocks come out one after the other', async () => {
    const blocks = ['one ', 'two ', 'three '];
    const packed = framed(await Promise.all(blocks.map(packedBlock)));
    const plain = Buffer.concat(blocks.map((content) => Buffer.alloc(KIB_32, content)));
    expect((await CODECS[SNAPPY].decompress(packed)).equals(plain)).toBe(true);
    expect((await CODECS[SNAPPY].decompress(framed([]))).length).toBe(0);
  });

  test('a block that runs past the end is refused, wherever it is cut', async () => {
    const block = await packedBlock('x');
    const packed = framed([block, block]);
    for (const cut of [1, block.length - 1, block.length, block.length + 1, block.length + 3]) {
      await expect(CODECS[SNAPPY].decompress(packed.subarray(0, -cut))).rejects.toThrow('runs past its end');
    }
  });

  test('frames that would unpack to too much are refused before anything is', async () => {
    // Blocks that say how long they become, and hold nothing: unpacking one would be refused for that.
    const hollow = Buffer.from([0x80, 0x80, 0x80, 0x08]);
    await expect(CODECS[SNAPPY].decompress(hollow.subarray(0, 3))).rejects.toThrow('does not say');
    const blocks = Array<Buffer>(5).fill(hollow);
    await expect(CODECS[SNAPPY].decompress(framed(blocks))).rejects.toThrow(`it unpacks to ${5 << 24} bytes`);
    await expect(CODECS[SNAPPY].decompress(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0]))).rejects.toThrow('it unpacks to 4294967295');
    expect(5 << 24).toBeGreaterThan(MAX_BATCH_BYTES);
  });

  test('a frame within a frame does not get around that', async () => {
    await expect(CODECS[SNAPPY].decompress(framed([framed([await packedBlock('x')])]))).rejects.toThrow('framed again');
  });

  test('others get their turn while many blocks are unpacked', async () => {
    const packed = framed(Array<Buffer>(256).fill(await packedBlock('x'))); // 8 MiB
    let turns = 0;
    let over = false;
    const turn = (): void => {
      turns++;
      if (!over) setImmediate(turn);
    };
    setImmediate(turn);
    await CODECS[SNAPPY].decompress(packed);
    over = true;
    expect(turns).toBeGreaterThanOrEqual(7);
  });
});

describe('lz4', () => {
  test('a frame that may unpack to too much is refused by its headers', async () => {
    const bomb = await CODECS[LZ4].compress(Buffer.alloc(2 * MAX_BATCH_BYTES));
    await expect(CODECS[LZ4].decompress(bomb)).rejects.toThrow('it may unpack to');
    const fits = await CODECS[LZ4].compress(Buffer.alloc(MAX_BATCH_BYTES));
    expect((await CODECS[LZ4].decompress(fits)).length).toBe(MAX_BATCH_BYTES);
  });

  test('a frame without its end, with bytes after it, or with another frame after it is refused', async () => {
    const frame = await CODECS[LZ4].compress(Buffer.from('hello world '.repeat(10_000)));
    const { decompress } = CODECS[LZ4];
    await expect(decompress(frame.subarray(0, -4))).rejects.toThrow('has no end');
    await expect(decompress(Buffer.concat([frame, Buffer.from('junk')]))).rejects.toThrow('does not end where its frame does');
    await expect(decompress(Buffer.concat([frame, frame]))).rejects.toThrow('does not end where its frame does');
    await expect(decompress(Buffer.alloc(0))).rejects.toThrow('does not begin');
    await expect(decompress(Buffer.from('not an lz4 frame at all'))).rejects.toThrow('does not begin');
  });

  test('checksums that other clients write after blocks and content are passed over', async () => {
    const plain = Buffer.from('hello '.repeat(4000));
    for (const options of [{ blockChecksums: true }, { contentChecksum: true }, { blockChecksums: true, contentChecksum: true }]) {
      const frame = compressFrameSync(plain, options);
      expect((await CODECS[LZ4].decompress(frame)).equals(plain)).toBe(true);
    }
  });
});

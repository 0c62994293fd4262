/**
 * Snappy as clients of Kafka write it: one block (https://github.com/google/snappy/blob/main/format_description.txt), or blocks of
 * 32 KiB in the framing of xerial's library, which Java's client uses: a header of 16 bytes, then each block behind its length.
 */
import snappy from 'kafkajs-snappy';
import { breathe } from '../clock.ts';

const XERIAL = Buffer.from([130, 83, 78, 65, 80, 80, 89, 0]);
const XERIAL_HEADER_BYTES = 16;
/** Unpacking takes 3 to 5 ns a byte on the main thread: others get their turn after this much. */
const TURN_BYTES = 1 << 20;

const codec = snappy();

const isFramed = (bytes: Buffer): boolean => bytes.subarray(0, XERIAL.length).equals(XERIAL);

/**
 * Unpacks either form, with pauses for the rest of the process between the blocks.
 * @throws Error when the bytes are neither, or would unpack to more than `maxBytes`; the latter before any of it is unpacked
 */
export async function unpackSnappy(bytes: Buffer, maxBytes: number): Promise<Buffer> {
  const blocks = isFramed(bytes) ? blocksOf(bytes) : [bytes];
  const size = blocks.reduce((sum, block) => sum + unpackedLength(block), 0);
  if (size > maxBytes) throw new Error(`it unpacks to ${size} bytes`);
  if (blocks.length === 1) return codec.decompress(blocks[0]);
  const all = Buffer.allocUnsafe(size);
  let at = 0;
  let turnEnds = TURN_BYTES;
  for (const block of blocks) {
    at += (await codec.decompress(block)).copy(all, at);
    if (at < turnEnds) continue;
    await breathe();
    turnEnds = at + TURN_BYTES;
  }
  return all;
}

function blocksOf(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  let at = XERIAL_HEADER_BYTES;
  while (at < bytes.length) {
    const start = at + Uint32Array.BYTES_PER_ELEMENT;
    const end = start <= bytes.length ? start + bytes.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new Error('a block of its snappy runs past its end');
    const block = bytes.subarray(start, end);
    // It would be unpacked as blocks of its own, of which nobody has asked how long they become.
    if (isFramed(block)) throw new Error('a block of its snappy is framed again');
    blocks.push(block);
    at = end;
  }
  return blocks;
}

/** What a block says that it unpacks to: 32 bits, seven a byte, lowest first. */
function unpackedLength(block: Buffer): number {
  let length = 0;
  for (let i = 0; i < 5 && i < block.length; i++) {
    length += (block[i] & 0x7f) * 128 ** i;
    if (block[i] <= 0x7f) return length;
  }
  throw new Error('a block of its snappy does not say how long it becomes');
}

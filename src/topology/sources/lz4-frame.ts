/** The blocks of an LZ4 frame, by their headers alone (format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md). */

const MAGIC = 0x184d2204;
const VERSION_MASK = 0xc0;
const VERSION = 0x40;
const BLOCK_CHECKSUMS = 0x10;
const CONTENT_SIZE = 0x08;
const CONTENT_CHECKSUM = 0x04;
const DICTIONARY = 0x01;
/** Of a block that is stored as it is. */
const STORED = 0x80000000;
/** No sequence of a block says more than 255 bytes with one byte of its own. */
const MOST_EACH = 255;
const WORD_BYTES = 4;

/**
 * The most that a frame can unpack to: the sum over its blocks.
 * @throws Error when the bytes are not one whole frame, from the first to the last
 */
export function mostUnpacked(frame: Buffer): number {
  const flags = frame[4];
  const longest = 1 << (8 + 2 * ((frame[5] >> 4) & 7));
  let at = 7 + (flags & CONTENT_SIZE ? 8 : 0) + (flags & DICTIONARY ? WORD_BYTES : 0);
  if (frame.length < at + WORD_BYTES || frame.readUInt32LE(0) !== MAGIC || (flags & VERSION_MASK) !== VERSION || longest < 1 << 16) {
    throw new Error('its lz4 does not begin as a frame does');
  }
  const checksumBytes = flags & BLOCK_CHECKSUMS ? WORD_BYTES : 0;
  let most = 0;
  while (at + WORD_BYTES <= frame.length) {
    const word = frame.readUInt32LE(at);
    at += WORD_BYTES;
    if (word === 0) {
      if (at + (flags & CONTENT_CHECKSUM ? WORD_BYTES : 0) !== frame.length) throw new Error('its lz4 does not end where its frame does');
      return most;
    }
    const isStored = word >= STORED;
    const length = isStored ? word - STORED : word;
    most += Math.min(longest, isStored ? length : MOST_EACH * length);
    at += length + checksumBytes;
  }
  throw new Error('its lz4 has no end');
}

/** Compression of record batches, by Kafka's numbers; each reads and writes what other clients do. */
import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import snappy from 'kafkajs-snappy';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { mostUnpacked } from './lz4-frame.ts';
import { unpackSnappy } from './snappy-framing.ts';

/** A batch that unpacks to more is refused: no producer makes one, and it would take the process with it. */
export const MAX_BATCH_BYTES = 1 << 26;

export interface Codec {
  compress(bytes: Buffer): Promise<Buffer>;
  /** Rejects when the bytes are not what this codec writes, or unpack to more than a batch may: before there is room made for it. */
  decompress(bytes: Buffer): Promise<Buffer>;
}

/** Records unpack to a few times as much; where they become more, all that was unpacked is put together once more. */
const USUAL_FACTOR = 8;
const LEAST_CHUNK_BYTES = 1 << 14;
const MOST_CHUNK_BYTES = 1 << 20;

const bounded = ({ length }: Buffer): { maxOutputLength: number; chunkSize: number } => ({
  maxOutputLength: MAX_BATCH_BYTES,
  chunkSize: Math.max(LEAST_CHUNK_BYTES, Math.min(USUAL_FACTOR * length, MOST_CHUNK_BYTES)),
});
const compressGzip = promisify(gzip);
const decompressGzip = promisify(gunzip);
const compressZstd = promisify(zstdCompress);
const decompressZstd = promisify(zstdDecompress);

const decompressLz4 = async (bytes: Buffer): Promise<Buffer> => {
  const most = mostUnpacked(bytes);
  if (most > MAX_BATCH_BYTES) throw new Error(`it may unpack to ${most} bytes`);
  return decompressFrame(bytes);
};

/** 0 is none. */
export const CODECS: Readonly<Record<number, Codec>> = {
  1: { compress: (bytes) => compressGzip(bytes), decompress: (bytes) => decompressGzip(bytes, bounded(bytes)) },
  2: { compress: (bytes) => snappy().compress({ buffer: bytes }), decompress: (bytes) => unpackSnappy(bytes, MAX_BATCH_BYTES) },
  3: { compress: (bytes) => compressFrame(bytes), decompress: decompressLz4 },
  4: { compress: (bytes) => compressZstd(bytes), decompress: (bytes) => decompressZstd(bytes, bounded(bytes)) },
};

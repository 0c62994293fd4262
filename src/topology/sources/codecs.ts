/** Compression of record batches, by Kafka's numbers; each reads and writes what other clients do. */
import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import snappy from 'kafkajs-snappy';
import { compressFrame, decompressFrame } from 'lz4-napi';

/** A batch that unpacks to more is refused: no producer makes one, and it would take the process with it. */
export const MAX_BATCH_BYTES = 1 << 28;

export interface Codec {
  compress(bytes: Buffer): Promise<Buffer>;
  /** Rejects when the bytes are not what this codec writes. */
  decompress(bytes: Buffer): Promise<Buffer>;
}

const BOUNDED = { maxOutputLength: MAX_BATCH_BYTES };
const compressGzip = promisify(gzip);
const decompressGzip = promisify(gunzip);
const compressZstd = promisify(zstdCompress);
const decompressZstd = promisify(zstdDecompress);

/** 0 is none. */
export const CODECS: Readonly<Record<number, Codec>> = {
  1: { compress: (bytes) => compressGzip(bytes), decompress: (bytes) => decompressGzip(bytes, BOUNDED) },
  2: { compress: (bytes) => snappy().compress({ buffer: bytes }), decompress: (bytes) => snappy().decompress(bytes) },
  3: { compress: (bytes) => compressFrame(bytes), decompress: (bytes) => decompressFrame(bytes) },
  4: { compress: (bytes) => compressZstd(bytes), decompress: (bytes) => decompressZstd(bytes, BOUNDED) },
};

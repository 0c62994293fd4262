declare module 'kafkajs-snappy' {
  /** A codec factory as kafkajs wants it; reads raw and xerial-framed snappy. */
  const snappy: () => { compress(encoder: { buffer: Buffer }): Promise<Buffer>; decompress(bytes: Buffer): Promise<Buffer> };
  export = snappy;
}

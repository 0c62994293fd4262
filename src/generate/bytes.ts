const SLAB_BYTES = 65_536;

/** Turns text into bytes that lie side by side in shared buffers; a buffer of its own for each text costs three times as much. */
export class Encoder {
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private used = 0;

  encode(text: string): Uint8Array {
    const atMost = text.length * 3;
    if (atMost > SLAB_BYTES / 4) return new Uint8Array(Buffer.from(text));
    if (this.used + atMost > SLAB_BYTES) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.used = 0;
    }
    const start = this.used;
    const length = this.slab.write(text, start);
    this.used += length;
    return new Uint8Array(this.slab.buffer, this.slab.byteOffset + start, length);
  }
}

/** The numbers and texts of Kafka's protocol (https://kafka.apache.org/protocol#protocol_types). */

const TWO_32 = 2 ** 32;

/** At most, with its length. */
export const textBytes = (text: string): number => 2 + 3 * text.length;

/** A request, with room for so many bytes and its size in front. */
export class RequestBytes {
  readonly #bytes: Buffer;
  #at = 4;

  constructor(mostBytes: number) {
    this.#bytes = Buffer.allocUnsafe(4 + mostBytes);
  }

  int8(value: number): void {
    this.#at = this.#bytes.writeInt8(value, this.#at);
  }

  int16(value: number): void {
    this.#at = this.#bytes.writeInt16BE(value, this.#at);
  }

  int32(value: number): void {
    this.#at = this.#bytes.writeInt32BE(value, this.#at);
  }

  /** Of a number that a double has exactly. */
  int64(value: number): void {
    const high = Math.floor(value / TWO_32);
    this.int32(high);
    this.#at = this.#bytes.writeUInt32BE(value - high * TWO_32, this.#at);
  }

  text(text: string): void {
    const length = this.#bytes.write(text, this.#at + 2);
    this.int16(length);
    this.#at += length;
  }

  /** All of it. */
  taken(): Buffer {
    this.#bytes.writeInt32BE(this.#at - 4, 0);
    return this.#bytes.subarray(0, this.#at);
  }
}

/** Reads a response from its beginning on. */
export class ResponseBytes {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#passed(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#passed(4));
  }

  /** Exact up to 2^53. */
  int64(): number {
    const at = this.#passed(8);
    return this.#bytes.readInt32BE(at) * TWO_32 + this.#bytes.readUInt32BE(at + 4);
  }

  bigInt64(): bigint {
    return this.#bytes.readBigInt64BE(this.#passed(8));
  }

  text(): string {
    const length = this.int16();
    const at = this.#passed(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  /** As many as there are of so many. */
  bytes(length: number): Buffer {
    const at = this.#passed(length);
    return this.#bytes.subarray(at, at + length);
  }

  skip(bytes: number): void {
    this.#passed(bytes);
  }

  /** Where it stood. */
  #passed(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}

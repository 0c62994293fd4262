/**
 * Numbers of 64 bits in kafkajs 2.2.4: for each record it reads two texts into BigInts, adds to them, and writes them as text. Nearly
 * all are numbers that a double has exactly; the others it reckons with as before.
 */
import { createRequire } from 'node:module';

interface Decoder {
  readonly buffer: Buffer;
  offset: number;
  readVarLong(): Long;
}

interface Long {
  readonly value: bigint;
  add(addend: unknown): Long;
}

interface LongClass {
  prototype: Long;
  fromValue(value: unknown): Long;
}

/** Groups of seven bits that a word holds. */
const WORD_GROUPS = 4;
const SHORT = /^-?\d{1,15}$/;

const require = createRequire(import.meta.url);
const internal = <T>(path: string): T => require(`kafkajs/src/${path}`) as T;

/** What is not here is a Long's, and works with `value`. */
class ShortLong implements Long {
  readonly number: number;

  constructor(number: number) {
    this.number = number;
  }

  get value(): bigint {
    return BigInt(this.number);
  }

  add(addend: unknown): Long {
    const sum = this.number + (addend instanceof ShortLong ? addend.number : typeof addend === 'number' ? addend : Number.NaN);
    return Number.isSafeInteger(sum) ? new ShortLong(sum) : addStock.call(this, addend);
  }

  toString(): string {
    return String(this.number);
  }
}

let addStock: Long['add'];

/** Once, before anything is decoded. */
export const replaceNumbers = (): void => {
  const LongOf = internal<LongClass>('utils/long.js');
  addStock = LongOf.prototype.add;
  Object.setPrototypeOf(ShortLong.prototype, LongOf.prototype);
  replaceFromValue(LongOf);
  replaceVarLong();
};

/** Of each record it reads the time and the offset of its batch. */
const replaceFromValue = (LongOf: LongClass): void => {
  const stock = LongOf.fromValue;
  let last = { text: '', long: new ShortLong(0) };
  let before = last;
  LongOf.fromValue = function (value) {
    if (typeof value !== 'string' || !(value === last.text || value === before.text || SHORT.test(value))) return stock.call(this, value);
    if (value === last.text) return last.long;
    [last, before] = [value === before.text ? before : { text: value, long: new ShortLong(Number(value)) }, last];
    return last.long;
  };
};

/** It adds up a number from objects, one a byte; most fit into a word. */
const replaceVarLong = (): void => {
  const { prototype } = internal<{ prototype: Decoder }>('protocol/decoder.js');
  const stock = prototype.readVarLong;
  prototype.readVarLong = function () {
    let raw = 0;
    for (let i = 0; i < WORD_GROUPS; i++) {
      const byte = this.buffer[this.offset + i];
      raw |= (byte & 0x7f) << (7 * i);
      if (byte > 0x7f) continue;
      this.offset += i + 1;
      return new ShortLong((raw >>> 1) ^ -(raw & 1));
    }
    return stock.call(this);
  };
};

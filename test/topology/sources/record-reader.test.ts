import { expect, test } from 'vitest';
import { RecordReader } from '../../../src/topology/sources/record-reader.ts';

const ATTRIBUTES = 0;
const TIME = [0];
const OFFSET = [0];
const KEY = [1];
const VALUE = [1];
const HEADERS = 0;

/** One record of these numbers, after its length. */
const recordOf = ({ time = TIME, offset = OFFSET }): number[] => {
  const body = [ATTRIBUTES, ...time, ...offset, ...KEY, ...VALUE, HEADERS];
  return [2 * body.length, ...body];
};

const readerOf = (bytes: readonly number[]): RecordReader =>
  new RecordReader({ bytes: Uint8Array.from(bytes), start: 0, end: bytes.length, count: 1 });

test.each([
  ['2^31 - 1', [0xfe, 0xff, 0xff, 0xff, 0x0f], 2 ** 31 - 1],
  ['-2^31', [0xff, 0xff, 0xff, 0xff, 0x0f], -(2 ** 31)],
  ['0, said with five bytes', [0x80, 0x80, 0x80, 0x80, 0x00], 0],
])('an offset of %s is read as it is', (_name, offset, expected) => {
  const reader = readerOf(recordOf({ offset }));
  expect([reader.next(), reader.offsetDelta]).toEqual([true, expected]);
});

test.each([
  ['a fifth byte with a 33rd bit', [0x80, 0x80, 0x80, 0x80, 0x10]],
  ['a fifth byte with its bits above', [0xfe, 0xff, 0xff, 0xff, 0x7f]],
  ['a sixth byte', [0x80, 0x80, 0x80, 0x80, 0x80, 0x00]],
])('a number of 32 bits that has %s is refused, and not cut', (_name, offset) => {
  expect(() => readerOf(recordOf({ offset })).next()).toThrow('a number in it has more than 32 bits');
});

test.each([
  ['a tenth byte with a 65th bit', [...Array<number>(9).fill(0x80), 0x02]],
  ['an eleventh byte', [...Array<number>(10).fill(0x80), 0x00]],
])('a time of 64 bits that has %s is refused', (_name, time) => {
  expect(() => readerOf(recordOf({ time })).next()).toThrow('a number in it has more than 64 bits');
});

test('bytes that end inside a number are told as that, wherever it is', () => {
  const time = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
  // A record that is as long as what is there, so that its length alone is no reason.
  for (let kept = 1; kept < time.length; kept++) {
    const padding = Array<number>(6).fill(0x80);
    const cut = [...padding.slice(0, Math.max(0, 5 - kept)), ...time.slice(0, kept)].map((byte) => byte | 0x80);
    expect(() => readerOf([2 * (cut.length + 1), ATTRIBUTES, ...cut]).next()).toThrow('it ends inside a number');
  }
});

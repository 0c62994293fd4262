import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FewNames } from '../../src/state/few-names.ts';

const utf8 = new TextEncoder();
/** Many that agree in length, at both ends and in the middle. */
const alike = fc.tuple(fc.constantFrom('aaaa', 'bbbb'), fc.string({ minLength: 0, maxLength: 4 }), fc.constantFrom('', 'mmmmmmmm'));
const name = fc.oneof(
  fc.string({ maxLength: 14 }).map((text) => utf8.encode(text)),
  fc.uint8Array({ maxLength: 3 }),
  alike.map(([end, inside, middle]) => utf8.encode(`${end}${inside}${middle}${middle && inside}${end}`)),
);

test('names get numbers in order of appearance, the same for the same bytes, wherever they lie', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 60 }), (all) => {
      const names = new FewNames();
      const model = new Map<string, number>();
      for (const [i, bytes] of all.entries()) {
        const buffer = Buffer.concat([Buffer.alloc(i % 5, 0x61), bytes, Buffer.alloc(i % 3, 0x62)]);
        const [start, end] = [i % 5, (i % 5) + bytes.length];
        const text = Buffer.from(bytes).toString('hex');
        expect(names.find(buffer, start, end)).toBe(model.get(text) ?? -1);
        if (model.has(text)) continue;
        model.set(text, model.size);
        expect(names.add(buffer, start, end)).toBe(model.get(text));
        buffer.fill(0);
      }
      expect(names.size).toBe(model.size);
    }),
  );
});

test('names of all lengths that differ in one byte only are told apart, those that are a beginning of others too', () => {
  const names = new FewNames();
  const all = Array.from({ length: 30 }, (_, length) => 'x'.repeat(length)).flatMap((base) => [
    base,
    ...Array.from(base, (_, i) => `${base.slice(0, i)}y${base.slice(i + 1)}`),
  ]);
  for (const [number, text] of all.entries()) {
    const bytes = utf8.encode(`xx${text}xx`);
    expect(names.find(bytes, 2, 2 + text.length)).toBe(-1);
    expect(names.add(bytes, 2, 2 + text.length)).toBe(number);
  }
  for (const [number, text] of all.entries()) expect(names.find(utf8.encode(`yy${text}yy`), 2, 2 + text.length)).toBe(number);
});

test('names that have their number in the middle, or anywhere else, are compared with hardly any other', () => {
  let reads = 0;
  class Counted extends DataView<ArrayBuffer> {
    override getInt32(at: number, isLittle?: boolean): number {
      reads++;
      return super.getInt32(at, isLittle);
    }
  }
  const three = (number: number): string => String(number).padStart(3, '0');
  const kinds = [
    'homepage-#-banner-300x250',
    'com.example.shop.homepage-#-banner-300x250',
    'campaign-#-of-june',
    '#-front-page-banner',
    'front-page-banner-#',
  ];
  for (const kind of kinds) {
    const names = new FewNames();
    const all = Array.from({ length: 64 }, (_, number) => utf8.encode(kind.replace('#', three(number))));
    for (const bytes of all) names.add(bytes, 0, bytes.length);
    reads = 0;
    for (const [number, bytes] of all.entries()) expect(names.findIn(new Counted(bytes.buffer), 0, bytes.length)).toBe(number);
    // Four words at the ends, and what lies between once for the hash and once for the name that is found.
    const least = 4 + 2 * Math.ceil((all[0].length - 16) / 4);
    expect(reads / all.length).toBeLessThan(least + 1);
  }
});

test('a name shorter than a word is another than the same with zeros after it', () => {
  // As many tables as it takes for some where one is looked for first in the slots before the other's.
  for (let step = 1; step < 256; step++) {
    const bytes = Array.from({ length: 8 }, (_, i) => (i * step) & 0xff);
    const names = new FewNames();
    for (const byte of new Set(bytes)) names.add(Uint8Array.of(byte), 0, 1);
    for (const longer of [2, 3]) expect(bytes.map((byte) => names.find(Uint8Array.of(byte, 0, 0), 0, longer))).toEqual(Array(8).fill(-1));
  }
});

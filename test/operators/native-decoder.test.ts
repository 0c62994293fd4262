import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeFile, compile, NATIVE, pathOf } from '../../scripts/compile-native.ts';
import { Decoder } from '../../src/operators/decode.ts';
import { FastDecoder } from '../../src/operators/decode-fast.ts';
import { DecodedEvent } from '../../src/operators/decoded-event.ts';
import { BYTES_AT, DecoderMemory } from '../../src/operators/decoder-memory.ts';
import { BLOCK, EventColumns, FLAG } from '../../src/operators/event-columns.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { STREAMS, type Stream } from '../../src/topology/types.ts';
import { CORPUS } from './decode-corpus.ts';
import { BothPaths, OPTIONS, recordOf, runOf } from './decode-helpers.ts';

const usual: Record<Stream, object> = {
  impressions: { event_id: 'e', campaign_id: 'c', spend_micros: 12_345_678, event_ts: 1_790_000_000_123, user_id: 'u', surface: 'home' },
  exposures: {
    event_id: 'e',
    experiment_id: 'x',
    variant_id: 'v',
    unit_id: 'u',
    event_ts: 1_790_000_000_123,
    attributes: { country: 'DE' },
  },
  assignments: { event_id: 'e', experiment_id: 'x', variant_id: 'v', unit_id: 'u', event_ts: 1_790_000_000_123, allocation_version: 3 },
};

test.each(NATIVE)('the code in $code is what $source compiles to', async (native) => {
  expect(codeFile(native, await compile(native.source))).toBe(readFileSync(pathOf(native.code), 'utf8'));
});

test.each(STREAMS)('the usual record of %s is read by the compiled code, with what is hashed of it', (stream) => {
  const paths = new BothPaths(stream);
  for (const more of [{}, { unknown: 'text', other: 5, third: true, nothing: null, nested: { a: 1 } }]) {
    const record = recordOf(JSON.stringify({ ...more, ...usual[stream] }));
    for (const _ of ['learning', 'guessing']) {
      const native = paths.native(record);
      expect(native).toMatchObject(paths.slow(record));
      expect(native?.hashes).toEqual(paths.hashes());
    }
  }
});

test.each([1024, 1025, 150_000, 200_000, 255_000, 300_000])('a surface of %i bytes is no harm to the records beside it', (length) => {
  const hash = new SeededHash(new Uint8Array(8).fill(3));
  const native = new Decoder('impressions', OPTIONS).native(hash);
  const sizes = [3, length, 1, 2, 1000, 5];
  const records = sizes.map((size, i) => JSON.stringify({ ...usual.impressions, event_id: `e${i}`, surface: 's'.repeat(size) }));
  // In one buffer, as a fetch has them.
  const bytes = Buffer.from(records.join(''));
  let at = 0;
  const views = records.map((text) => {
    const view = recordOf(text);
    Object.assign(view, { value: bytes, valueStart: at, valueEnd: at + text.length });
    at += text.length;
    return view;
  });
  native?.read(runOf(views));
  const sure = sizes.map((_, i) => ((native?.columns.flags[i] ?? 0) & FLAG.sure) !== 0);
  expect(sure).toEqual(sizes.map((size) => size <= 1024));
  const together = sizes.map((_, i) => (native === null ? null : hashesOf('impressions', native.columns, i)));
  for (const [i, view] of views.entries()) {
    if (!sure[i]) continue;
    native?.read(runOf([view]));
    expect(native === null ? null : hashesOf('impressions', native.columns, 0)).toEqual(together[i]);
  }
});

test.each(STREAMS)('records of %s that are hashed together have the hashes that each has alone, however long their texts are', (stream) => {
  const decoder = new Decoder(stream, OPTIONS);
  const hash = new SeededHash(new Uint8Array(8).fill(3));
  const native = decoder.native(hash);
  const text = fc.string({ unit: fc.constantFrom(...'abcdefghij'), minLength: 1, maxLength: 24 });
  // An escape is what compiled code is not sure of.
  const id = fc.oneof({ weight: 20, arbitrary: text }, { weight: 1, arbitrary: fc.constant('\n') });
  const fields = { event_id: id, campaign_id: id, experiment_id: id, variant_id: id, unit_id: id, event_ts: fc.nat(2 ** 40) };
  const optional = { user_id: id, surface: fc.oneof(text, fc.constant('')) };
  const requiredKeys = ['event_id', 'campaign_id', 'experiment_id', 'variant_id', 'unit_id', 'event_ts'] as const;
  const record = fc.record({ ...fields, ...optional, spend_micros: fc.constant(5) }, { requiredKeys: [...requiredKeys, 'spend_micros'] });
  let sure = 0;
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: BLOCK, size: 'max' }), (records) => {
      const views = records.map((one) => recordOf(JSON.stringify(one)));
      native?.read(runOf(views));
      const told = views.map((_, i) => (native === null ? null : hashesOf(stream, native.columns, i)));
      const event = new DecodedEvent();
      views.forEach((view, i) => {
        if (told[i] === null) return;
        sure++;
        expect(decoder.decodeSlow(view, event)).toBe(0);
        const alone = new EventColumns();
        alone.set(0, stream, event, hash);
        alone.flags[0] |= FLAG.sure;
        expect(told[i]).toEqual(hashesOf(stream, alone, 0));
      });
    }),
  );
  expect(sure).toBeGreaterThan(500);
});

/** Of a record that is sure, else null: whether it is tied to somebody, and its hashes. */
function hashesOf(stream: Stream, { flags, ids, entities, suspects, units, variants }: EventColumns, i: number): unknown {
  if ((flags[i] & FLAG.sure) === 0) return null;
  const isTied = (flags[i] & FLAG.tied) !== 0;
  const columns = [ids, entities, ...(isTied ? [suspects] : []), ...(stream === 'impressions' ? [] : [units, variants])];
  return [isTied, ...columns.flatMap(({ his, los }) => [his[i], los[i]])];
}

test.each(
  STREAMS,
)('of no record of %s in the corpus is the compiled code sure of something wrong, at every length and after every other', (stream) => {
  const paths = new BothPaths(stream);
  const good = recordOf(JSON.stringify(usual[stream]));
  for (const { value } of CORPUS.filter((sample) => sample.stream === stream && sample.value.length < 600)) {
    const bytes = Buffer.from(value as string);
    for (let end = 0; end <= bytes.length; end++) {
      paths.native(good);
      const record = recordOf(bytes.subarray(0, end));
      const native = paths.native(record);
      if (native !== null) expect(native).toMatchObject(paths.slow(record));
    }
  }
});

test.each(STREAMS)('of no record of %s in which a quote is another byte is the compiled code sure, nor does it learn from it', (stream) => {
  const paths = new BothPaths(stream);
  const text = JSON.stringify({ ...usual[stream], unknown: 'text', nested: { a: 'b', c: 1 } });
  const quotes = [...text].flatMap((character, i) => (character === '"' ? [i] : []));
  for (const at of quotes) {
    for (const byte of [0x00, 0x1f, 0x20, 0x5c, 0x61, 0x80, 0xff]) {
      paths.native(recordOf(text));
      const bytes = Buffer.from(text);
      bytes[at] = byte;
      // Not when it comes again, either.
      for (let n = 0; n < 3; n++) expect([at, byte, n, paths.native(recordOf(bytes))]).toEqual([at, byte, n, null]);
      expect(paths.native(recordOf(text))).toMatchObject(paths.slow(recordOf(text)));
    }
  }
});

test.each([
  ['null', { user_id: null }],
  ['a number', { user_id: 5 }],
  ['a time as text', { event_ts: '2026-01-01T00:00:00Z' }],
  ['another order', { surface: 'x', event_id: 'y' }],
])('%s in one record does not keep the fast paths from the next', (_what, odd) => {
  const paths = new BothPaths('impressions');
  const fast = FastDecoder.create('impressions', { mapping: {}, maxSpendMicros: 1e12 });
  const isSure = (record: object): boolean => {
    const bytes = Buffer.from(JSON.stringify(record));
    return fast?.decode(bytes, 0, bytes.length, new DecodedEvent()) ?? false;
  };
  for (let n = 0; n < 3; n++) {
    isSure({ ...odd, ...usual.impressions, ...odd });
    paths.native(recordOf(JSON.stringify({ ...usual.impressions, ...odd })));
    expect([isSure(usual.impressions), paths.native(recordOf(JSON.stringify(usual.impressions))) !== null]).toEqual([true, true]);
  }
});

test.each([1, 2, 7, 8, 9, 12, 15, 16])('numbers of %i digits are what they are, or left to others', (digits) => {
  const paths = new BothPaths('impressions');
  for (const first of ['1', '9', '0']) {
    const number = first + '0123456789012345'.slice(0, digits - 1);
    const spendMicros = digits > 12 ? '5' : number;
    const record = recordOf(`{"event_id":"e","campaign_id":"c","spend_micros":${spendMicros},"event_ts":${number}}`);
    const [native, slow] = [paths.native(record), paths.slow(record)];
    expect(native !== null).toBe(digits < 16 && (digits === 1 || first !== '0'));
    if (native !== null) expect(native).toMatchObject(slow);
  }
});

test('an exposure spends nothing, also where an impression was read before', () => {
  const native = new Decoder('exposures', OPTIONS).native(new SeededHash(new Uint8Array(8)));
  new BothPaths('impressions').native(recordOf(JSON.stringify(usual.impressions)));
  native?.read(runOf([recordOf(JSON.stringify(usual.exposures))]));
  expect(native?.columns.spendMicros[0]).toBe(0);
});

test('a value that ends at the end of the copied bytes, behind others that go on, is not read beyond', () => {
  const paths = new BothPaths('impressions');
  const text = JSON.stringify({ ...usual.impressions, spend_micros: 5 });
  // What was copied before is longer, and would go on with digits, members and a brace.
  paths.native(recordOf(`${text.slice(0, -1)},"z":${'1'.repeat(12)},"y":"${'x'.repeat(80)}"}`));
  for (let end = text.length; end > 0; end--) {
    expect(paths.native(recordOf(text.slice(0, end))) === null).toBe(end < text.length);
  }
});

test('what lies in a part of a memory that compiled code sees is found in that part', () => {
  const memory = DecoderMemory.make(1 << 16);
  const native = new Decoder('impressions', OPTIONS).native(new SeededHash(new Uint8Array(8)));
  if (memory === null || native === null) return;
  const run = runOf([recordOf(JSON.stringify(usual.impressions))]);
  memory.bytes.set(run.bytes, BYTES_AT);
  native.read({ ...run, bytes: memory.bytes.subarray(BYTES_AT) });
  const event = new DecodedEvent();
  expect((native.columns.flags[0] & FLAG.sure) !== 0).toBe(true);
  native.event(0, event);
  const { bytes, start, end } = event.surface;
  expect(Buffer.from(bytes.subarray(start, end)).toString()).toBe('home');
});

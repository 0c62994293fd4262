import { describe, expect, it } from 'vitest';
import { DecodedEvent, INVALID_REASONS, mappingProblems, REASON_TEXTS } from '../../src/operators/decode.ts';
import { FastDecoder } from '../../src/operators/decode-fast.ts';
import { CORPUS } from './decode-corpus.ts';
import { BothPaths, OPTIONS, recordOf } from './decode-helpers.ts';

const TS = 1_767_225_600_000;
const IMPRESSION = { event_id: 'e', campaign_id: 'c', spend_micros: 5, event_ts: TS };
const EXPOSURE = { event_id: 'e', experiment_id: 'x', variant_id: 'v', unit_id: 'u', event_ts: TS };

const impressions = new BothPaths('impressions');
const paths = { impressions, exposures: new BothPaths('exposures'), assignments: new BothPaths('assignments') };

describe('the corpus', () => {
  it.each(CORPUS)('$stream, $name: good is $good', ({ stream, value, good }) => {
    const record = recordOf(value);
    const usual = paths[stream].usual(record);
    expect(usual.reason === '').toBe(good);
    expect(paths[stream].slow(record)).toEqual(usual);
  });
});

describe('what a good record says', () => {
  it('an impression with every field', () => {
    const value = { ...IMPRESSION, user_id: 'u', advertiser_id: 'é', surface: '', received_ts: 7, is_valid: false, attributes: { a: 1 } };
    expect(impressions.usual(recordOf(JSON.stringify(value))).content).toEqual({
      eventTs: TS,
      eventId: 'e',
      entityId: 'c',
      spendMicros: 5,
      valid: false,
      receivedTs: 7,
      userId: 'u',
      advertiserId: '\xc3\xa9',
      surface: '',
      attributes: '{"a":1}',
    });
  });

  it('an optional field that is absent or null says nothing, also after a record that had it', () => {
    impressions.usual(recordOf(JSON.stringify({ ...IMPRESSION, user_id: 'u', surface: 's', is_valid: false, attributes: {} })));
    const bare = impressions.usual(recordOf(JSON.stringify(IMPRESSION)));
    expect(bare.content).toMatchObject({ valid: true, receivedTs: Number.NaN, userId: null, surface: null, attributes: null });
    expect(impressions.usual(recordOf(JSON.stringify({ ...IMPRESSION, user_id: null, is_valid: null })))).toEqual(bare);
  });

  it('an exposure has allocation version 1 unless it says another', () => {
    expect(paths.exposures.usual(recordOf(JSON.stringify(EXPOSURE))).content).toMatchObject({ allocationVersion: 1, unitId: 'u' });
    const second = JSON.stringify({ ...EXPOSURE, allocation_version: 2, assigned_ts: '2026-01-01T00:00:00.001Z' });
    expect(paths.exposures.usual(recordOf(second)).content).toMatchObject({ allocationVersion: 2, assignedTs: TS + 1 });
  });

  it('one id is the same bytes whether it was escaped or not', () => {
    const escaped = recordOf(JSON.stringify(IMPRESSION).replace('"c"', '"caf\\u00e9 \\ud83d\\ude42"'));
    expect(impressions.usual(escaped)).toEqual(impressions.usual(recordOf(JSON.stringify({ ...IMPRESSION, campaign_id: 'café 🙂' }))));
  });

  it('surfaces that differ in a lone surrogate stay different', () => {
    const surfaceOf = (text: string) => impressions.usual(recordOf(JSON.stringify({ ...IMPRESSION, surface: text }))).content?.['surface'];
    expect(surfaceOf('a\ud800')).toBe('a\xed\xa0\x80');
    expect(surfaceOf('\udfffé')).toBe('\xed\xbf\xbf\xc3\xa9');
  });

  it('of a repeated name the last counts', () => {
    const repeated = JSON.stringify(IMPRESSION).replace('}', ',"spend_micros":1.5e3}');
    expect(impressions.usual(recordOf(repeated)).content).toMatchObject({ spendMicros: 1500 });
  });

  it('−0 is 0', () => {
    const value = JSON.stringify(IMPRESSION).replace('5', '-0');
    expect(Object.is(impressions.usual(recordOf(value)).content?.['spendMicros'], 0)).toBe(true);
  });
});

describe('reasons', () => {
  const record = (value: object = IMPRESSION) => recordOf(JSON.stringify(value));

  it.each([
    ['schema_registry_framing', '\0\0\0\0\x01{}'],
    ['schema_registry_framing', '\0'],
    ['not_utf8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['not_json', ''],
    ['not_json', '{'],
    ['not_an_object', '[]'],
    ['missing_field', '{}'],
    ['wrong_type', JSON.stringify({ ...IMPRESSION, event_id: 7 })],
    ['bad_id', JSON.stringify({ ...IMPRESSION, event_id: '' })],
    ['bad_time', JSON.stringify({ ...IMPRESSION, event_ts: 'soon' })],
    ['bad_amount', JSON.stringify({ ...IMPRESSION, spend_micros: -1 })],
  ])('%s', (reason, value) => {
    expect(impressions.usual(recordOf(value)).reason).toBe(reason);
  });

  it('bad_version', () => {
    expect(paths.exposures.usual(record({ ...EXPOSURE, allocation_version: 0 })).reason).toBe('bad_version');
  });

  it('a null value has its own, a null key too, but only when all else is right', () => {
    const nullValue = record();
    nullValue.value = null;
    nullValue.key = null;
    expect(impressions.usual(nullValue).reason).toBe('null_value');
    const nullKey = record();
    nullKey.key = null;
    expect(impressions.usual(nullKey).reason).toBe('missing_key');
    const both = record({ ...IMPRESSION, event_id: '' });
    both.key = null;
    expect(impressions.usual(both).reason).toBe('bad_id');
  });

  it('a clock may be 5 min ahead of the Kafka timestamp and no ms more; without one anything goes', () => {
    const skewed = record();
    skewed.timestampMs = TS - 300_000;
    expect(impressions.usual(skewed).reason).toBe('');
    skewed.timestampMs = TS - 300_001;
    expect(impressions.usual(skewed).reason).toBe('clock_skew');
    skewed.timestampMs = Number.NaN;
    expect(impressions.usual(skewed).reason).toBe('');
  });

  it('each has a text, and 0 means none', () => {
    expect(INVALID_REASONS).toEqual(['', ...Object.keys(REASON_TEXTS)]);
  });
});

describe('settings', () => {
  it('the largest amount is one', () => {
    const poor = new BothPaths('impressions', { maxSpendMicros: 4 });
    expect(poor.usual(recordOf(JSON.stringify(IMPRESSION))).reason).toBe('bad_amount');
  });

  it('with framing, JSON lies after the five bytes, and a frame cut short is still invalid', () => {
    const framed = new BothPaths('impressions', { schemaRegistryFraming: true });
    const text = JSON.stringify(IMPRESSION);
    expect(framed.usual(recordOf(`\0\0\0\0\x07${text}`)).content).toMatchObject({ eventId: 'e' });
    expect(framed.usual(recordOf(text)).content).toMatchObject({ eventId: 'e' });
    expect(framed.usual(recordOf('\0\0\0\0')).reason).toBe('schema_registry_framing');
  });

  it('a mapping renames fields, and the contract name is then an unknown one', () => {
    const mapped = new BothPaths('impressions', { mapping: { event_id: 'id', spend_micros: 'cost', user_id: 'event_id' } });
    const { content } = mapped.usual(
      recordOf(JSON.stringify({ id: 'i', campaign_id: 'c', cost: 5, event_ts: TS, spend_micros: 'x', event_id: 'me' })),
    );
    expect(content).toMatchObject({ eventId: 'i', spendMicros: 5, userId: 'me' });
  });

  it('a dotted name reaches into objects, own members only', () => {
    const nested = new BothPaths('impressions', {
      mapping: { event_id: 'meta.id', attributes: 'meta.tags', user_id: 'meta.__proto__.name' },
    });
    const record = recordOf(`{"meta":[],"meta":{"id":"i", "tags": {"a" : 1} }, "campaign_id":"c","spend_micros":5,"event_ts":${TS}}`);
    expect(nested.usual(record).content).toMatchObject({ eventId: 'i', attributes: '{"a" : 1}', userId: null });
    expect(nested.usual(recordOf(JSON.stringify({ ...IMPRESSION, meta: 'id' }))).reason).toBe('missing_field');
  });

  it('what every object inherits is not in the JSON', () => {
    const inherited = new BothPaths('impressions', { mapping: { user_id: '__proto__.constructor', surface: 'toString' } });
    expect(inherited.usual(recordOf(JSON.stringify(IMPRESSION))).content).toMatchObject({ userId: null, surface: null });
  });

  it('two fields may read one name', () => {
    const shared = new BothPaths('exposures', { mapping: { unit_id: 'event_id' } });
    expect(shared.usual(recordOf(JSON.stringify(EXPOSURE))).content).toMatchObject({ eventId: 'e', unitId: 'e' });
  });

  it('a name that needs escapes is found, and found only where it is escaped', () => {
    const quoted = new BothPaths('impressions', { mapping: { event_id: 'a"b' } });
    const rest = `"campaign_id":"c","spend_micros":5,"event_ts":${TS}}`;
    expect(quoted.usual(recordOf(`{"a\\"b":"e",${rest}`)).content).toMatchObject({ eventId: 'e' });
    expect(quoted.usual(recordOf(`{"a"b":"e",${rest}`)).reason).toBe('not_json');
  });

  it('says what is wrong with a mapping', () => {
    expect(mappingProblems('impressions', { event_id: 'a.b' })).toEqual([]);
    expect(mappingProblems('impressions', { unit_id: 'x', event_id: 'a..b' })).toEqual([
      expect.stringContaining('no field unit_id'),
      expect.stringContaining("'a..b' has an empty step"),
    ]);
  });
});

describe('the fast path', () => {
  const scan = (value: string, options = OPTIONS): boolean | undefined => {
    const { value: bytes, valueStart, valueEnd } = recordOf(value);
    return FastDecoder.create('impressions', options)?.decode(bytes!, valueStart, valueEnd, new DecodedEvent());
  };

  it('is taken by usual records, whatever their order, spaces, unknown fields and times', () => {
    const usual = {
      x: [{ y: '\n', z: -1.5e-7 }],
      é: null,
      ...IMPRESSION,
      event_ts: '2026-01-01T00:00:00.5+01:00',
      campaign_id: 'café',
      user_id: null,
    };
    expect(scan(JSON.stringify(usual, null, 2))).toBe(true);
    expect(scan(JSON.stringify({ id: 'i', ...IMPRESSION }), { ...OPTIONS, mapping: { event_id: 'id' } })).toBe(true);
  });

  it('is not there for dotted names', () => {
    expect(scan(JSON.stringify(IMPRESSION), { ...OPTIONS, mapping: { user_id: 'a.b' } })).toBeUndefined();
  });

  it('never says yes to what the corpus calls wrong', () => {
    const wrong = CORPUS.filter(({ stream, good }) => stream === 'impressions' && !good);
    expect(wrong.filter(({ value }) => scan(value as string))).toEqual([]);
  });
});

/** Records as nobody should send them, and odd ones that are right; each with what must become of it. */
import type { InvalidReason } from '../../src/operators/decode.ts';
import type { Stream } from '../../src/topology/types.ts';
import type { PlacedRecord } from '../e2e/kafka.ts';

export interface Case extends PlacedRecord {
  name: string;
  /** Absent: it is accepted. */
  invalid?: InvalidReason;
}

type Value = string | Uint8Array | null;
type Fields = Record<string, unknown>;

const AT_MS = Date.UTC(2026, 9, 5, 12);
const MIB = 1 << 20;

/** JSON text that is put in as it stands, e.g. `1.5e3`. */
class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
const raw = (text: string): Raw => new Raw(text);

const textOf = (fields: Fields): string =>
  `{${Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${value instanceof Raw ? value.text : JSON.stringify(value)}`)
    .join(',')}}`;

const impression: Fields = { campaign_id: 'c-1', spend_micros: 1500, event_ts: AT_MS };
const exposure: Fields = { experiment_id: 'x-1', variant_id: 'a', event_ts: AT_MS };

/** All cases with event ids, users and units of their own, so that none is another's duplicate. */
export function casesFor(suffix: string): Case[] {
  const cases: Case[] = [];
  const add = (topic: Stream, name: string, value: Value, more: { invalid?: InvalidReason; key?: Uint8Array | null } = {}): void => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    cases.push({ topic, partition: 0, key: Buffer.from('k'), value: bytes, timestampMs: AT_MS, name, ...more });
  };
  const whole = (topic: Stream): Fields => {
    const id = `${suffix}-${cases.length}`;
    return topic === 'impressions' ? { event_id: id, ...impression } : { event_id: id, unit_id: `u-${id}`, ...exposure };
  };
  const good = (topic: Stream, name: string, fields: Fields): void => add(topic, name, textOf({ ...whole(topic), ...fields }));
  const bad = (topic: Stream, invalid: InvalidReason, name: string, fields: Fields): void =>
    add(topic, name, textOf({ ...whole(topic), ...fields }), { invalid });
  const whollyBad = (invalid: InvalidReason, name: string, value: Value | ((text: string) => Value)): void => {
    for (const topic of ['impressions', 'exposures', 'assignments'] as const)
      add(topic, name, typeof value === 'function' ? value(textOf(whole(topic))) : value, { invalid });
  };
  addUnreadable(whollyBad);
  addBadFields(bad);
  addOddButGood(good, (topic, name, make) => add(topic, name, make(textOf(whole(topic)))));
  addLarge(good, whollyBad);
  add('impressions', 'null key', textOf(whole('impressions')), { key: null, invalid: 'missing_key' });
  add('exposures', 'null key', textOf(whole('exposures')), { key: null, invalid: 'missing_key' });
  add('impressions', 'empty key', textOf(whole('impressions')), { key: Buffer.alloc(0) });
  add('impressions', 'key that is not UTF-8', textOf(whole('impressions')), { key: Buffer.from([0xff, 0x00, 0xfe]) });
  bad('impressions', 'clock_skew', 'a clock six minutes ahead', { event_ts: AT_MS + 360_000 });
  return cases;
}

type Wholly = (invalid: InvalidReason, name: string, value: Value | ((text: string) => Value)) => void;
type Bad = (topic: Stream, invalid: InvalidReason, name: string, fields: Fields) => void;
type Good = (topic: Stream, name: string, fields: Fields) => void;

/** Puts bytes into the first id. */
const inId =
  (...bytes: number[]) =>
  (text: string): Uint8Array => {
    const at = text.indexOf('"event_id":"') + 12;
    return Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(bytes), Buffer.from(text.slice(at))]);
  };

function addUnreadable(whollyBad: Wholly): void {
  whollyBad('null_value', 'null value', null);
  whollyBad('not_json', 'empty value', '');
  whollyBad('not_json', 'a word', 'hello');
  whollyBad('not_json', 'cut short', (text) => text.slice(0, -5));
  whollyBad('not_json', 'a comma too many', (text) => `${text.slice(0, -1)},}`);
  whollyBad('not_json', 'two objects', (text) => text + text);
  whollyBad('not_json', 'single quotes', (text) => text.replaceAll('"', "'"));
  whollyBad('not_json', 'a byte-order mark', (text) => `\ufeff${text}`);
  whollyBad('not_json', 'NUL behind', (text) => `${text}\0`);
  whollyBad('not_json', 'NUL inside an id', inId(0));
  whollyBad('not_utf8', 'FF inside an id', inId(0xff));
  whollyBad('not_utf8', 'half a character', inId(0xe2, 0x82));
  whollyBad('not_utf8', 'a surrogate in UTF-8', inId(0xed, 0xa0, 0x80));
  whollyBad('schema_registry_framing', 'framed for a registry', (text) => Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), Buffer.from(text)]));
  whollyBad('not_an_object', 'a list', '[]');
  whollyBad('not_an_object', 'a number', '42');
  whollyBad('not_an_object', 'null', 'null');
  whollyBad('not_json', '100,000 open brackets', '['.repeat(100_000));
  whollyBad('missing_field', 'an empty object', '{}');
}

function addBadFields(bad: Bad): void {
  const required: [Stream, string[]][] = [
    ['impressions', ['event_id', 'campaign_id', 'spend_micros', 'event_ts']],
    ['exposures', ['event_id', 'experiment_id', 'variant_id', 'unit_id', 'event_ts']],
    ['assignments', ['event_id', 'experiment_id', 'variant_id', 'unit_id', 'event_ts']],
  ];
  for (const [topic, names] of required) {
    for (const name of names) {
      bad(topic, 'missing_field', `no ${name}`, { [name]: undefined });
      bad(topic, 'missing_field', `null ${name}`, { [name]: null });
      bad(topic, 'wrong_type', `${name} a list`, { [name]: [] });
      if (!name.endsWith('_id')) continue;
      bad(topic, 'wrong_type', `${name} a number`, { [name]: 7 });
      bad(topic, 'bad_id', `${name} of 0 characters`, { [name]: '' });
      bad(topic, 'bad_id', `${name} of 257 characters`, { [name]: '🙂'.repeat(257) });
      bad(topic, 'bad_id', `${name} with U+0000`, { [name]: 'a\0b' });
      bad(topic, 'bad_id', `${name} with half a pair`, { [name]: raw('"a\\ud83d"') });
    }
  }
  for (const text of ['-1', '0.5', '1000000000001', '1e13', '1e400', '1e-1', '9007199254740993'])
    bad('impressions', 'bad_amount', `spend_micros ${text}`, { spend_micros: raw(text) });
  bad('impressions', 'wrong_type', 'spend_micros digits in a string', { spend_micros: '1500' });
  bad('impressions', 'wrong_type', 'is_valid a string', { is_valid: 'true' });
  bad('impressions', 'wrong_type', 'surface a number', { surface: 1 });
  bad('impressions', 'bad_id', 'user_id empty', { user_id: '' });
  bad('exposures', 'wrong_type', 'attributes a list', { attributes: [] });
  for (const version of [0, 1.5, 2 ** 31])
    bad('exposures', 'bad_version', `allocation_version ${version}`, { allocation_version: version });
  for (const time of ['-1', '1.5', '8640000000000001', '"yesterday"', '"2026-10-05"', '"2026-02-30T00:00:00Z"', '"2026-10-05t12:00:00z"'])
    bad('assignments', 'bad_time', `event_ts ${time}`, { event_ts: raw(time) });
}

function addOddButGood(good: Good, made: (topic: Stream, name: string, make: (text: string) => string) => void): void {
  good('impressions', 'exponents', { spend_micros: raw('1.5e3'), event_ts: raw(`${AT_MS / 1000}E+3`) });
  good('impressions', 'minus zero', { spend_micros: raw('-0') });
  good('impressions', 'the largest amount', { spend_micros: raw('1000000000000.0') });
  good('impressions', 'an ISO time with an offset', { event_ts: '2026-10-05T14:00:00.1239+02:00' });
  good('impressions', 'nulls where fields are optional', { user_id: null, surface: null, is_valid: null, attributes: null });
  good('impressions', 'attributes that are no object', { attributes: 'none' });
  good('impressions', 'invalid traffic', { is_valid: false });
  made('impressions', 'a repeated name: the last counts', (text) => `{"event_id":7,"spend_micros":"x",${text.slice(1)}`);
  for (const topic of ['impressions', 'exposures', 'assignments'] as const) {
    good(topic, 'unknown fields', { x: [1, { y: null }], '': true, __proto___: 1, é: -1.5e-7 });
    made(topic, 'fields the other way round', (text) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).reverse())));
    made(topic, 'pretty-printed', (text) => `\r\n\t${JSON.stringify(JSON.parse(text), null, '\t')}  \n`);
    made(topic, 'names as escapes', (text) => text.replace('event_id', '\\u0065vent\\u005fid'));
  }
  const ids = [
    '__proto__',
    '{}:',
    ' a b ',
    'quote"back\\slash/',
    'tab\tline\n',
    '日本語',
    '🙂'.repeat(256),
    'e\u0301',
    '\u007f\u0080\u2028',
  ];
  for (const id of ids) {
    good('impressions', `campaign ${id.slice(0, 12)}`, { campaign_id: id });
    good('impressions', `campaign by escapes ${id.slice(0, 12)}`, { campaign_id: raw(escaped(id)) });
    good('exposures', `variant and experiment ${id.slice(0, 12)}`, { experiment_id: id, variant_id: raw(escaped(id)) });
  }
}

const escaped = (text: string): string =>
  `"${[...Array(text.length).keys()].map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;

function addLarge(good: Good, whollyBad: Wholly): void {
  const padded = (text: string, length: number): string => text + ' '.repeat(length - text.length);
  good('impressions', 'a text of 1 MiB', { x: 'a'.repeat(MIB) });
  whollyBad('not_json', '1 MiB of brackets', '['.repeat(MIB));
  whollyBad('not_json', '1,000,000 bytes, the longest that is copied whole', (text) => `${padded(text, 999_999)}x`);
  whollyBad('not_json', 'a byte more', (text) => `${padded(text, 1_000_000)}x`);
  good('exposures', 'attributes of 1 MiB', { attributes: { a: 'ü'.repeat(MIB / 2) } });
}

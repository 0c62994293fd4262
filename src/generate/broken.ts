/** The many ways in which a record is broken. Every one is invalid by the input contract, whatever the record said before. */
import type { Stream } from '../topology/types.ts';
import { fieldsOf, join } from './forms.ts';

/** Makes a value that is invalid out of a valid one. */
type Break = (text: string) => Uint8Array | string | null;

const value =
  (broken: Uint8Array | string | null): Break =>
  () =>
    broken;
const edit = (change: (text: string) => string): Break => change;
const without =
  (name: string): Break =>
  (text) =>
    join(fieldsOf(text).filter(([other]) => other !== name));
const field = (name: string, json: string | ((json: string) => string)): Break => {
  const change = typeof json === 'string' ? () => json : json;
  return (text) => {
    const fields = fieldsOf(text);
    const present = fields.some(([other]) => other === name);
    return join(present ? fields.map(([other, old]) => [other, other === name ? change(old) : old]) : [...fields, [name, change('null')]]);
  };
};
/** Bytes put after the opening quote of event_id. */
const bytesInId =
  (...bytes: number[]): Break =>
  (text) => {
    const at = text.indexOf('"event_id":"') + 12;
    return Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(bytes), Buffer.from(text.slice(at))]);
  };
const quoted = (json: string): string => JSON.stringify(json);

const ids = (name: string): Record<string, Break> => ({
  [`${name} missing`]: without(name),
  [`${name} null`]: field(name, 'null'),
  [`${name} empty`]: field(name, '""'),
  [`${name} a number`]: field(name, '7'),
  [`${name} an array`]: field(name, '["a"]'),
  [`${name} of 257 characters`]: field(name, quoted('é'.repeat(257))),
  [`${name} with U+0000`]: field(name, '"a\\u0000b"'),
  [`${name} with half a surrogate pair`]: field(name, '"a\\ud800b"'),
});

const EVERYWHERE: Record<string, Break> = {
  'null value': value(null),
  'empty value': value(''),
  text: value('hello'),
  number: value('42'),
  null: value('null'),
  array: value('[]'),
  'string value': value('"text"'),
  'schema registry framing': value(Buffer.from([0, 0, 0, 0, 1, 123, 125])),
  'random bytes': value(Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc0, 0x7b])),
  'deep and unclosed': value('['.repeat(5000)),
  '64 KiB of blanks': value(' '.repeat(65_536)),
  'cut short': edit((text) => text.slice(0, text.length >> 1)),
  'two objects': edit((text) => text + text),
  'comma before the end': edit((text) => `${text.slice(0, -1)},}`),
  'single quotes': edit((text) => text.replaceAll('"', "'")),
  'comment behind': edit((text) => `${text} // end`),
  'NUL behind': edit((text) => `${text}\0`),
  'no-break space before': edit((text) => `\u00a0${text}`),
  'byte-order mark': edit((text) => `\ufeff${text}`),
  'inside an array': edit((text) => `[${text}]`),
  'not UTF-8': bytesInId(0xff, 0xfe),
  'surrogate in UTF-8': bytesInId(0xed, 0xa0, 0x80),
  'overlong UTF-8': bytesInId(0xc0, 0xaf),
  'raw NUL in a string': bytesInId(0),
  'raw newline in a string': bytesInId(10),
  'wrong last of a repeated name': edit((text) => `${text.slice(0, -1)},"event_id":7}`),
  ...ids('event_id'),
  'event_ts missing': without('event_ts'),
  'event_ts null': field('event_ts', 'null'),
  'event_ts true': field('event_ts', 'true'),
  'event_ts digits in a string': field('event_ts', quoted),
  'event_ts negative': field('event_ts', '-1'),
  'event_ts a fraction': field('event_ts', (json) => `${json}.5`),
  'event_ts leading zero': field('event_ts', (json) => `0${json}`),
  'event_ts NaN': field('event_ts', 'NaN'),
  'event_ts a word': field('event_ts', '"yesterday"'),
  'event_ts only a date': field('event_ts', '"2026-01-01"'),
  'event_ts 30 February': field('event_ts', '"2026-02-30T00:00:00Z"'),
  'event_ts without offset': field('event_ts', (json) => quoted(new Date(Number(json)).toISOString().slice(0, -1))),
  'event_ts lower case': field('event_ts', (json) => quoted(new Date(Number(json)).toISOString().toLowerCase())),
  'event_ts second 60': field('event_ts', '"2026-01-01T00:00:60Z"'),
};

/** An assignment has no received_ts in its contract: there a wrong one is not looked at. */
const RECEIVED: Record<string, Break> = { 'received_ts a word': field('received_ts', '"soon"') };

const IMPRESSIONS: Record<string, Break> = {
  ...ids('campaign_id'),
  'spend_micros missing': without('spend_micros'),
  ...Object.fromEntries(
    ['-1', '0.5', '-0.5', '1000000000001', '9007199254740993', '1e300', '1e400', '1e-1', '"100"', 'null', 'false', '[1]'].map((json) => [
      `spend_micros ${json}`,
      field('spend_micros', json),
    ]),
  ),
  'is_valid a string': field('is_valid', '"false"'),
  'is_valid a number': field('is_valid', '0'),
  'user_id a number': field('user_id', '5'),
  'advertiser_id empty': field('advertiser_id', '""'),
  'surface a number': field('surface', '1'),
};

const EXPERIMENTS: Record<string, Break> = {
  ...ids('experiment_id'),
  ...ids('variant_id'),
  ...ids('unit_id'),
  'allocation_version a string': field('allocation_version', '"2"'),
  'allocation_version a fraction': field('allocation_version', '1.5'),
  'allocation_version zero': field('allocation_version', '0'),
  'allocation_version 2^31': field('allocation_version', '2147483648'),
};

/** Ways to break a value of a topic, by name. */
export const BREAKS: Record<Stream, Record<string, Break>> = {
  exposures: {
    ...EVERYWHERE,
    ...RECEIVED,
    ...EXPERIMENTS,
    'attributes a string': field('attributes', '"none"'),
    'attributes an array': field('attributes', '[]'),
    'assigned_ts an object': field('assigned_ts', '{}'),
  },
  assignments: { ...EVERYWHERE, ...EXPERIMENTS },
  impressions: { ...EVERYWHERE, ...RECEIVED, ...IMPRESSIONS },
};

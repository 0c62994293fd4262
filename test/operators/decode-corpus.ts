/** Values on which decoders have gone wrong, here or elsewhere. Each is JSON text or bytes; the fuzz starts from them too. */
import type { Stream } from '../../src/topology/types.ts';

export interface Sample {
  name: string;
  stream: Stream;
  value: string | Buffer;
  good: boolean;
}

const TS = 1_767_225_600_000;
const IMPRESSION: Record<string, string> = { event_id: '"e-1"', campaign_id: '"c-1"', spend_micros: '1500', event_ts: String(TS) };
const EXPERIMENT: Record<string, string> = {
  event_id: '"e-1"',
  experiment_id: '"x-1"',
  variant_id: '"a"',
  unit_id: '"u-1"',
  event_ts: String(TS),
};

const textOf = (fields: Record<string, string>): string =>
  `{${Object.entries(fields)
    .map(([name, text]) => `${JSON.stringify(name)}:${text}`)
    .join(',')}}`;

const impression = (fields: Record<string, string>): string => textOf({ ...IMPRESSION, ...fields });

function without(fields: Record<string, string>, name: string): string {
  return textOf(Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name)));
}

const sample =
  (stream: Stream, good: boolean) =>
  ([name, value]: [string, string | Buffer]): Sample => ({ name, stream, value, good });

/** One field of an impression replaced; the name of the sample is the text. */
const eachOf = (field: string, good: boolean, texts: readonly string[]): Sample[] =>
  texts.map((text) => ({ name: `${field}: ${text.slice(0, 40)}`, stream: 'impressions', value: impression({ [field]: text }), good }));

const bytesIn = (field: string, ...bytes: number[]): Buffer => {
  const [before, after] = impression({ [field]: '"a|b"' }).split('|');
  return Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]);
};

const plain = impression({});

const WHOLE: Sample[] = [
  ...(
    [
      ['plain', plain],
      [
        'every field',
        impression({ user_id: '"u"', advertiser_id: '"a"', surface: '"home"', received_ts: '17', is_valid: 'true', attributes: '{"a":1}' }),
      ],
      ['spaces everywhere', ` \r\n\t${plain.replaceAll(/([:,{}])/g, ' \n$1\t ')}  `],
      ['no order', '{"event_ts":1,"spend_micros":2,"campaign_id":"c","event_id":"e"}'],
      ['names as escapes', `{"\\u0065vent_id":"e","campaign\\u005fid":"c","spend_micros":5,"event_t\\u0073":${TS}}`],
      ['a name by escape, the same name plain before', `{"event_id":7,${plain.slice(1).replace('event_id', '\\u0065vent_id')}`],
      ['a repeated name, the last is good', `{"event_id":7,"event_ts":"soon",${plain.slice(1)}`],
      [
        'unknown fields of every kind',
        impression({ x: 'null', y: '[1,{"z":[]}]', '': 'true', é: '-1.5e-7', big: '1e400', t: '"\\ud800\\n"' }),
      ],
      ['own names of Object', impression({ __proto__x: '1', constructor: '{}', toString: 'null' })],
      ['a member __proto__', `{"__proto__":{"event_id":"other"},${plain.slice(1)}`],
      ['2,000 unknown fields', impression({ x: `0${',"f":0'.repeat(2000)}` })],
      ['nested 63 deep', impression({ x: `${'['.repeat(62)}${']'.repeat(62)}` })],
      ['nested 66 deep', impression({ x: `${'['.repeat(65)}${']'.repeat(65)}` })],
      ['attributes twice', `${impression({ attributes: '{"a":1}' }).slice(0, -1)},"attributes": {"a": [2,"}"]} }`],
      ['attributes by escape', impression({}).replace('}', ',"attri\\u0062utes":{"\\"":"\\\\"}}')],
      ['attributes that are nested deeply', impression({ attributes: `{"a":${'{"b":'.repeat(70)}[1,"]"]${'}'.repeat(70)}}` })],
    ] as [string, string][]
  ).map(sample('impressions', true)),
  ...(
    [
      ['empty', ''],
      ['a space', ' '],
      ['not JSON', 'hello'],
      ['a list', '[]'],
      ['null', 'null'],
      ['a text', '"text"'],
      ['a number', '42'],
      ['an empty object', '{}'],
      ['the object in a list', `[${plain}]`],
      ['twice', plain + plain],
      ['two lines', `${plain}\n${plain}`],
      ['NUL after', `${plain}\0`],
      ['a comma after', `${plain.slice(0, -1)},}`],
      ['a comma before', `{,${plain.slice(1)}`],
      ['two commas', plain.replace(',', ',,')],
      ['single quotes', plain.replaceAll('"', "'")],
      ['a byte-order mark', `\ufeff${plain}`],
      ['a no-break space', `\u00a0${plain}`],
      ['a form feed', `\f${plain}`],
      ['a bad escape', plain.replace('e-1', '\\x41')],
      ['a short escape', plain.replace('e-1', '\\u41')],
      ['a raw newline in a text', plain.replace('e-1', '\n')],
      ['a bad escape in an unknown field', impression({ x: '"\\x41"' })],
      ['a raw tab in an unknown name', impression({}).replace('{', '{"\t":1,')],
      ['a name that is no text', plain.replace('{', '{1:1,')],
      ['only NUL', '\0'],
      ['a registry frame', `\0\0\0\0\x01${plain}`],
      ['required fields inside __proto__', `{"__proto__":${plain}}`],
      ['a repeated name, the last is bad', `${plain.slice(0, -1)},"event_id":7}`],
      ['a repeated name, the last is null', `${plain.slice(0, -1)},"event_id":null}`],
      ['100,000 open brackets', '['.repeat(100_000)],
      ['100,000 open brackets in a field', impression({ x: '['.repeat(100_000) })],
      ['camelCase names', '{"eventId":"e","campaignId":"c","spendMicros":5,"eventTs":1}'],
      ['FF in an id', bytesIn('event_id', 0xff)],
      ['overlong NUL', bytesIn('event_id', 0xc0, 0x80)],
      ['overlong slash in three bytes', bytesIn('event_id', 0xe0, 0x80, 0xaf)],
      ['overlong in four bytes', bytesIn('event_id', 0xf0, 0x80, 0x80, 0xaf)],
      ['a surrogate in UTF-8', bytesIn('event_id', 0xed, 0xa0, 0x80)],
      ['above U+10FFFF', bytesIn('event_id', 0xf4, 0x90, 0x80, 0x80)],
      ['a lead byte of five', bytesIn('event_id', 0xf8, 0x88, 0x80, 0x80, 0x80)],
      ['a continuation alone', bytesIn('event_id', 0x80)],
      ['a lead byte alone', bytesIn('event_id', 0xe2, 0x82)],
      ['FF in an unknown field', bytesIn('x', 0xff)],
      ...Object.keys(IMPRESSION).map((name): [string, string] => [`no ${name}`, without(IMPRESSION, name)]),
    ] as [string, string | Buffer][]
  ).map(sample('impressions', false)),
];

const FIELDS: Sample[] = [
  ...eachOf('campaign_id', true, [
    '"z"',
    '" z "',
    '"{}:"',
    '"__proto__"',
    '"caf\\u00e9"',
    '"café"',
    '"\\n\\t\\"\\\\\\/"',
    '"\\ud83d\\ude42"',
    '"🙂"',
  ]),
  ...eachOf(
    'campaign_id',
    true,
    ['c', 'é', '🙂', '\\u00e9'].map((character) => `"${character.repeat(256)}"`),
  ),
  ...eachOf(
    'campaign_id',
    false,
    ['c', 'é', '🙂', '\\u00e9'].map((character) => `"${character.repeat(257)}"`),
  ),
  ...eachOf('campaign_id', false, [
    '""',
    'null',
    'true',
    '12',
    '{"id":"c"}',
    '["c"]',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\ude42a"',
    '"\\ude42\\ud83d"',
    '"c',
  ]),
  ...eachOf('user_id', true, ['null', '"u"']),
  ...eachOf('user_id', false, ['""', '5', 'false', '[]']),
  ...eachOf('advertiser_id', false, ['""', '5', '"\\u0000"']),
  ...eachOf('surface', true, [
    'null',
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udfff\\ud800x"',
    `"${'s'.repeat(5000)}"`,
    `"${'é'.repeat(9000)}\\n"`,
  ]),
  ...eachOf('surface', false, ['5', 'true', '{}', '[]']),
  ...eachOf('spend_micros', true, [
    '0',
    '-0',
    '-0.0',
    '0e5',
    '1500.0',
    '1.5e3',
    '150000e-2',
    '1E3',
    '1e+3',
    '1000000000000',
    '1.0000000000000000000001',
  ]),
  ...eachOf('spend_micros', false, [
    '-1',
    '0.5',
    '1000000000001',
    '9007199254740993',
    '1e300',
    '1e400',
    '-1e400',
    '1e-1',
    '"100"',
    'null',
    'false',
    '[1]',
  ]),
  ...eachOf('spend_micros', false, [
    '01',
    '1.',
    '.5',
    '+1',
    '1_000',
    'NaN',
    'Infinity',
    '0x10',
    '1e',
    '1e+',
    '-',
    '--1',
    '00',
    '-01',
    '1n',
    '1 0',
  ]),
  ...eachOf('event_ts', true, [
    '0',
    '8640000000000000',
    '1.7672256e12',
    '"2026-01-01T00:00:00Z"',
    '"2026-01-01T05:45:00.123456+05:45"',
    '"\\u0032026-01-01T00:00:00Z"',
  ]),
  ...eachOf('event_ts', false, [
    '-1',
    '8640000000000001',
    '1767225600000.5',
    '"1767225600000"',
    '""',
    '"2026-02-30T00:00:00Z"',
    '"2026-01-01T00:00:00"',
    'true',
    '{}',
    '[]',
    'null',
  ]),
  ...eachOf('received_ts', true, ['null', '0', '"2026-01-01T00:00:00-00:00"', '1e3']),
  ...eachOf('received_ts', false, ['"soon"', '-1', '1.5', 'true', '""']),
  ...eachOf('is_valid', true, ['true', 'false', 'null']),
  ...eachOf('is_valid', false, ['"false"', '0', 'tru', 'truee', 'True', 'fals', 'nul', 'nulll', '{}']),
  ...eachOf('attributes', true, ['null', '{}', '{"is_bot":true}', '[]', '"none"', '0', 'false', '[{}]']),
  ...eachOf('attributes', false, ['{', '{a:1}', '[1,]', '{"a":1,}', '{"a"}', '[}', 'nul']),
  ...eachOf('experiment_id', true, ['7', 'null', '{}']),
  ...eachOf('x', false, ['', '01', '[1 2]', '{"a":1 "b":2}', '"\\ud80"', '"\\u004g"', '[[]', '-', 'tru', '{"a":}', '{null:1}', "''"]),
];

const variants = (stream: Stream, good: boolean, fields: [string, string][]): Sample[] =>
  fields.map(([name, text]) => ({ name: `${name}: ${text}`, stream, value: textOf({ ...EXPERIMENT, [name]: text }), good }));

const EXPERIMENTS: Sample[] = (['exposures', 'assignments'] as const).flatMap((stream) => [
  { name: 'plain', stream, value: textOf(EXPERIMENT), good: true },
  ...Object.keys(EXPERIMENT).map((name): Sample => ({ name: `no ${name}`, stream, value: without(EXPERIMENT, name), good: false })),
  ...variants(stream, true, [
    ['allocation_version', '2'],
    ['allocation_version', '2147483647'],
    ['allocation_version', '1e1'],
    ['allocation_version', 'null'],
    ['user_id', '5'],
    ['surface', '[]'],
    ['attributes', 'null'],
    ['attributes', '{"country":"DE"}'],
  ]),
  ...variants(stream, false, [
    ['allocation_version', '"2"'],
    ['allocation_version', '1.5'],
    ['allocation_version', '0'],
    ['allocation_version', '-0'],
    ['allocation_version', '2147483648'],
    ['allocation_version', 'true'],
    ['unit_id', '5'],
    ['variant_id', '""'],
  ]),
  // Not listed for assignments, hence ignored there.
  ...variants(stream, stream === 'assignments', [
    ['attributes', '[]'],
    ['attributes', '"none"'],
    ['received_ts', '"soon"'],
    ['assigned_ts', '{}'],
  ]),
  ...variants(stream, true, [
    ['assigned_ts', '5'],
    ['assigned_ts', '"2026-01-01T00:00:00+01:00"'],
  ]),
]);

export const CORPUS: readonly Sample[] = [...WHOLE, ...FIELDS, ...EXPERIMENTS];

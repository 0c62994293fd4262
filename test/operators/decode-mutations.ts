import type { Stream } from '../../src/topology/types.ts';

/** A seeded source of integers from 0 to below `n`. */
export type Random = (n: number) => number;

/** Mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)];

/** Fields as JSON texts, in order. */
type Members = [name: string, text: string][];

function fieldsOf(stream: Stream, random: Random): Members {
  const n = random(1_000_000);
  const ts = String(1_767_225_600_000 + n);
  const id = (prefix: string): string => JSON.stringify(`${prefix}-${pick(random, ['é', '🙂', 'plain', '{}:', '"', '\\', ' '])}-${n}`);
  const maybe = (name: string, text: string): Members => (random(2) === 0 ? [[name, text]] : []);
  if (stream === 'impressions') {
    return [
      ['event_id', id('e')],
      ['campaign_id', id('c')],
      ['spend_micros', String(n)],
      ['event_ts', ts],
      ...maybe('user_id', id('u')),
      ...maybe('advertiser_id', id('a')),
      ...maybe('surface', pick(random, ['""', '"home"', id('s')])),
      ...maybe('received_ts', ts),
      ...maybe('is_valid', pick(random, ['true', 'false'])),
      ...maybe('attributes', pick(random, ['{"a":[1,{"b":"}"}]}', '{}', '[]', '"x"'])),
    ];
  }
  return [
    ['event_id', id('e')],
    ['experiment_id', id('x')],
    ['variant_id', pick(random, ['"a"', '"control"'])],
    ['unit_id', id('u')],
    ['event_ts', ts],
    ...maybe('allocation_version', String(1 + random(9))),
    ...maybe('received_ts', ts),
    ...maybe('assigned_ts', ts),
    ...maybe('attributes', '{"country":"DE","is_bot":false,"n":[-1.5e3,null,{}]}'),
  ];
}

type Style = (members: Members, random: Random) => Members;

const escapeAll = (text: string): string =>
  JSON.stringify(text).replaceAll(/[a-z_é🙂]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

const isMs = (text: string): boolean => /^\d{13}$/.test(text);

const STYLES: readonly Style[] = [
  (members) => members,
  (members, random) =>
    members
      .map((member) => ({ member, at: random(1000) }))
      .sort((a, b) => a.at - b.at)
      .map(({ member }) => member),
  (members, random) => [
    [
      pick(random, ['', 'x', 'Event_Id', '__proto__', 'event_id2']),
      pick(random, ['1e400', '[[{"a":[]}]]', 'null', '"\\ud800"', '{"event_id":"x"}']),
    ],
    ...members,
  ],
  (members, random) =>
    members.map(([name, text]) => [name, text.startsWith('"') && random(2) === 0 ? escapeAll(JSON.parse(text) as string) : text]),
  (members, random) =>
    members.map(([name, text]) => [
      name,
      isMs(text) ? `"${new Date(Number(text)).toISOString().replace('Z', pick(random, ['Z', '123Z', '+05:45', '-00:00']))}"` : text,
    ]),
  (members, random) =>
    members.map(([name, text]) => [name, /^\d+$/.test(text) ? pick(random, [`${text}.0`, `${text}0e-1`, `${text}E0`, text]) : text]),
  (members) => [
    ...members,
    ...['received_ts', 'is_valid', 'surface', 'allocation_version']
      .filter((name) => !members.some((m) => m[0] === name))
      .map((name): [string, string] => [name, 'null']),
  ],
  (members, random) => [[pick(random, members)[0], pick(random, ['"first"', '17', 'null', '{}'])], ...members],
];

/** A good record in one or two unusual but legal styles, or none. */
export function validRecord(stream: Stream, random: Random): Buffer {
  let members = fieldsOf(stream, random);
  for (let styles = random(3); styles > 0; styles--) members = pick(random, STYLES)(members, random);
  const space = random(6) === 0 ? pick(random, [' ', '\n  ', '\r\n\t']) : '';
  const nameOf = (name: string): string => (random(60) === 0 ? escapeAll(name).toLowerCase() : JSON.stringify(name));
  const body = members.map(([name, text]) => `${space}${nameOf(name)}${space}:${space}${text}${space}`).join(',');
  return Buffer.from(`${space}{${body}}${space}`);
}

/** Bytes that mean something in JSON or in UTF-8. */
const TELLING = Buffer.from('"\\{}[]:,/ \t\n\r\0\x1f\x7f0123456789-+.eEtfnuTZaA\x80\xbf\xc0\xc2\xe0\xed\xef\xf0\xf4\xff', 'latin1');

/** The same bytes with up to three random faults (sometimes none). */
export function mutate(value: Buffer, others: readonly Buffer[], random: Random): Buffer {
  let bytes: Buffer = Buffer.from(value);
  for (let faults = Math.max(0, random(5) - 1); faults > 0 && bytes.length > 0; faults--) bytes = damage(bytes, others, random);
  return bytes;
}

function damage(bytes: Buffer, others: readonly Buffer[], random: Random): Buffer {
  const at = random(bytes.length);
  const upTo = Math.min(bytes.length, at + 1 + random(random(4) === 0 ? 40 : 3));
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random(8)) {
    case 0:
      bytes[at] ^= 1 << random(8);
      return bytes;
    case 1:
      bytes[at] = pick(random, [...TELLING]);
      return bytes;
    case 2:
      return Buffer.concat([head, Buffer.of(pick(random, [...TELLING])), tail]);
    case 3:
      return Buffer.concat([head, bytes.subarray(upTo)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, upTo), tail]);
    case 5: {
      const other = pick(random, others);
      const from = random(other.length);
      return Buffer.concat([head, other.subarray(from, from + random(60)), bytes.subarray(upTo)]);
    }
    case 6:
      return random(4) === 0 ? head : bytes;
    default:
      // Another digit for a digit and another letter for a letter leave more records good.
      bytes[at] = /[0-9a-z]/.test(String.fromCharCode(bytes[at])) ? bytes[at] ^ 1 : bytes[at];
      return bytes;
  }
}

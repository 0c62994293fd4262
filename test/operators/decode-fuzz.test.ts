import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type RecordView, STREAMS, type Stream } from '../../src/topology/types.ts';
import { CORPUS } from './decode-corpus.ts';
import { BothPaths, type Outcome, recordOf } from './decode-helpers.ts';
import { mutate, randomFrom, validRecord } from './decode-mutations.ts';

const CASES_PER_STREAM = 75_000;

/** Where two outcomes differ, or null; exact, so −0 is not 0. */
function difference(one: Outcome, other: Outcome): string | null {
  if (one.reason !== other.reason) return `${one.reason || 'good'} / ${other.reason || 'good'}`;
  for (const [name, value] of Object.entries(one.content ?? {})) {
    if (!Object.is(value, other.content?.[name])) return `${name}: ${String(value)} / ${String(other.content?.[name])}`;
  }
  return null;
}

function disagreement(paths: BothPaths, value: Uint8Array | string): string | null {
  const record = recordOf(value);
  const slow = paths.slow(record);
  // Twice, for the compiled code may have learned from it.
  const compiled = nativeDifference(paths, record, slow) ?? nativeDifference(paths, record, slow);
  const found = difference(paths.usual(record), slow) ?? compiled;
  return found === null ? null : `${found} for ${Buffer.from(value as string).toString('latin1')}`;
}

/** Where the compiled code is sure of something else, or hashes it otherwise; null when it is not, or not sure at all. */
function nativeDifference(paths: BothPaths, record: RecordView, slow: Outcome): string | null {
  const native = paths.native(record);
  if (native === null) return null;
  const found = difference(native, slow);
  if (found !== null) return `compiled: ${found}`;
  paths.slow(record);
  const hashes = paths.hashes();
  return String(native.hashes) === String(hashes) ? null : `compiled: hashes ${native.hashes} / ${hashes}`;
}

it.each(STREAMS)('both paths agree on %s in many styles with random damage', (stream) => {
  const paths = new BothPaths(stream);
  const random = randomFrom(STREAMS.indexOf(stream) + 1);
  const samples = CORPUS.filter((sample) => sample.stream === stream && sample.value.length < 1000).map(({ value }) =>
    Buffer.from(value as string),
  );
  const disagreements: string[] = [];
  let good = 0;
  let sure = 0;
  for (let n = 0; n < CASES_PER_STREAM; n++) {
    const styled = random(8) === 0 ? samples[random(samples.length)] : validRecord(stream, random);
    const base = random(2) === 0 ? styled : (plain(styled) ?? styled);
    const value = mutate(base, samples, random);
    // What the fast paths have learnt from a record is guessed of the next: here it is nearly right.
    paths.usual(recordOf(base));
    paths.native(recordOf(base));
    const record = recordOf(value);
    const usual = paths.usual(record);
    if (usual.reason === '') good++;
    const found = disagreement(paths, value);
    if (found !== null) disagreements.push(found);
    if (paths.native(record) !== null) sure++;
  }
  expect(disagreements.slice(0, 5)).toEqual([]);
  expect(sure / CASES_PER_STREAM).toBeGreaterThan(0.015);
  // Neither all good nor all bad, else this proves little.
  expect(good / CASES_PER_STREAM).toBeGreaterThan(0.2);
  expect(good / CASES_PER_STREAM).toBeLessThan(0.8);
});

/** As most programs write it: without spaces, and times as numbers. */
function plain(record: Buffer): Buffer | null {
  try {
    const body = JSON.parse(record.toString()) as Record<string, unknown>;
    for (const name of Object.keys(body).filter((key) => key.endsWith('_ts'))) {
      body[name] = typeof body[name] === 'string' ? Date.parse(body[name]) : body[name];
    }
    return Buffer.from(JSON.stringify(body));
  } catch {
    return null;
  }
}

/** A record as the compiled code reads it, of any digits and ids. */
function compact(stream: Stream, random: (below: number) => number): string {
  const id = (): string => 'x'.repeat(random(40)) + String.fromCharCode(0x20 + random(0x5f)) + random(1000);
  const digits = (most: number): number => Number(String(random(10 ** 9)) + String(random(10 ** 6))) % 10 ** random(most + 1);
  const body: Record<string, unknown> = { event_id: id(), event_ts: digits(15) };
  const optional = (name: string, value: unknown): void => {
    if (random(3) > 0) body[name] = value;
  };
  if (stream === 'impressions') {
    Object.assign(body, { campaign_id: id(), spend_micros: digits(13) });
    optional('user_id', random(9) === 0 ? null : id());
    optional('surface', id());
    optional('is_valid', random(2) === 0);
  } else {
    Object.assign(body, { experiment_id: id(), variant_id: id(), unit_id: id() });
    optional('allocation_version', digits(11));
    optional('assigned_ts', digits(14));
  }
  optional('attributes', { country: 'DE', [id()]: random(2) === 0 ? null : digits(20) });
  optional('other', random(2) === 0 ? id() : digits(18));
  return JSON.stringify(body);
}

/** One or two bytes of it replaced, left out, or put in, mostly by what means something in JSON. */
function damaged(text: string, random: (below: number) => number): string {
  let damage = text;
  for (let times = random(3); times > 0; times--) {
    const at = random(damage.length + 1);
    const put = random(4) === 0 ? '' : '{}[]",:0189.eE+-\\ \n\u0000ntf'[random(26)];
    damage = damage.slice(0, at) + put + damage.slice(at + random(3));
  }
  return damage;
}

it.each(STREAMS)('the compiled code agrees with the slow path on compact %s with random damage', (stream) => {
  const paths = new BothPaths(stream);
  const random = randomFrom(77 + STREAMS.indexOf(stream));
  const disagreements: string[] = [];
  const cases = 60_000;
  let sure = 0;
  for (let n = 0; n < cases; n++) {
    const base = compact(stream, random);
    paths.native(recordOf(base));
    const value = damaged(base, random);
    const found = disagreement(paths, value);
    if (found !== null) disagreements.push(found);
    if (paths.native(recordOf(value)) !== null) sure++;
  }
  expect(disagreements.slice(0, 5)).toEqual([]);
  expect(sure / cases).toBeGreaterThan(0.2);
  expect(sure / cases).toBeLessThan(0.8);
});

const NAMES: Record<Stream, string[]> = {
  exposures: [
    'event_id',
    'experiment_id',
    'variant_id',
    'unit_id',
    'event_ts',
    'allocation_version',
    'attributes',
    'received_ts',
    '__proto__',
  ],
  assignments: ['event_id', 'experiment_id', 'variant_id', 'unit_id', 'event_ts', 'allocation_version', 'attributes'],
  impressions: ['event_id', 'campaign_id', 'spend_micros', 'event_ts', 'user_id', 'surface', 'is_valid', 'attributes', 'advertiser_id'],
};

it.each(STREAMS)('both paths agree on %s with any JSON in the listed fields', (stream) => {
  const paths = new BothPaths(stream);
  const text = fc.string({ unit: 'binary', maxLength: 6 });
  const value = fc.oneof(
    { weight: 4, arbitrary: text.map((any) => JSON.stringify(any)) },
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 2 ** 50 }).map(String) },
    { weight: 2, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
    { weight: 2, arbitrary: fc.json({ depthSize: 'small' }) },
  );
  const member = fc.tuple(fc.constantFrom(...NAMES[stream]), value, fc.constantFrom('', ' ', '\n\t'));
  fc.assert(
    fc.property(fc.array(member, { maxLength: 4 }), fc.nat(), (members, seed) => {
      const base = validRecord(stream, randomFrom(seed)).toString('utf8').trim();
      const added = members.map(([name, json, space]) => `,${space}${JSON.stringify(name)}${space}:${space}${json}${space}`).join('');
      expect(disagreement(paths, `${base.slice(0, -1)}${added}}`)).toBeNull();
      // Without what the added members repeat, so that the scanner reads them itself.
      expect(disagreement(paths, `{"x":0${added}${without(base, members)}}`)).toBeNull();
    }),
    { numRuns: 2000, seed: 3 },
  );
});

function without(base: string, members: readonly (readonly [string, string, string])[]): string {
  const fields = Object.entries(JSON.parse(base) as Record<string, unknown>).filter(
    ([name]) => !members.some((member) => member[0] === name),
  );
  return fields.map(([name, value]) => `,${JSON.stringify(name)}:${JSON.stringify(value)}`).join('');
}

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { STREAMS, type Stream } from '../../src/topology/types.ts';
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
  const found = difference(paths.usual(record), paths.slow(record));
  return found === null ? null : `${found} for ${Buffer.from(value as string).toString('latin1')}`;
}

it.each(STREAMS)('both paths agree on %s in many styles with random damage', (stream) => {
  const paths = new BothPaths(stream);
  const random = randomFrom(STREAMS.indexOf(stream) + 1);
  const samples = CORPUS.filter((sample) => sample.stream === stream && sample.value.length < 1000).map(({ value }) =>
    Buffer.from(value as string),
  );
  const disagreements: string[] = [];
  let good = 0;
  for (let n = 0; n < CASES_PER_STREAM; n++) {
    const base = random(8) === 0 ? samples[random(samples.length)] : validRecord(stream, random);
    const value = mutate(base, samples, random);
    // What the fast path has learnt from a record is guessed of the next: here it is nearly right.
    paths.usual(recordOf(base));
    const record = recordOf(value);
    const usual = paths.usual(record);
    const found = difference(usual, paths.slow(record));
    if (found !== null) disagreements.push(`${found} for ${value.toString('latin1')}`);
    if (usual.reason === '') good++;
  }
  expect(disagreements.slice(0, 5)).toEqual([]);
  // Neither all good nor all bad, else this proves little.
  expect(good / CASES_PER_STREAM).toBeGreaterThan(0.2);
  expect(good / CASES_PER_STREAM).toBeLessThan(0.8);
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

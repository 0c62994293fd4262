/** How records are cut into batches, where they lie, and whether an owner went on or restored: nothing of it may change what they count. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ListedRecord } from '../../src/topology/sources/listed-batch.ts';
import { type OutRecord, STREAMS, type Stream } from '../../src/topology/types.ts';
import { Staged } from './staged.ts';

const MINUTE_MS = 60_000;
const START_MS = 1_790_000_000_000;

/** What compiled code is sure of, is not sure of, and what nobody can read. */
const SHAPES = {
  plain: 60,
  spaced: 3,
  nested: 3,
  'non-ASCII': 4,
  escaped: 6,
  'RFC 3339': 4,
  'mapping of attributes': 8,
  'surface of 120 to 300 KB': 0.4,
  'surface of 3 KB': 2,
  'padded with 300 KB': 0.2,
  'no time': 1,
  'no object': 1,
  null: 1,
  empty: 1,
} as const;
type Shape = keyof typeof SHAPES;

const shape = fc.oneof(...Object.entries(SHAPES).map(([name, weight]) => ({ arbitrary: fc.constant(name as Shape), weight: 10 * weight })));
const rarely = (ms: number, oneIn: number) =>
  fc.oneof({ arbitrary: fc.constant(0), weight: oneIn - 1 }, { arbitrary: fc.nat(ms), weight: 1 });
const spec = fc.record({
  shape,
  id: fc.nat(300),
  entity: fc.nat(5),
  variant: fc.nat(2),
  version: fc.nat(2),
  unit: fc.nat(20),
  surface: fc.nat(90),
  spend: fc.nat(3),
  isValid: fc.boolean(),
  laterMs: fc.nat(3000),
  /** The one before again, with this id. */
  isTwin: fc.oneof({ arbitrary: fc.constant(false), weight: 15 }, { arbitrary: fc.constant(true), weight: 1 }),
  pauseMs: rarely(5 * 60 * MINUTE_MS, 60),
  lateMs: rarely(60 * MINUTE_MS, 8),
  isLastOfBatch: fc.oneof({ arbitrary: fc.constant(false), weight: 50 }, { arbitrary: fc.constant(true), weight: 1 }),
});
type Spec = typeof spec extends fc.Arbitrary<infer T> ? T : never;

const rounds = fc.array(fc.array(spec, { minLength: 1, maxLength: 150, size: 'max' }), { minLength: 1, maxLength: 6, size: 'max' });

const fieldsOf = (stream: Stream, one: Spec): Record<string, unknown> => {
  const unit = `u${one.unit}`;
  if (stream !== 'impressions') {
    const who = { experiment_id: `x${one.entity}`, variant_id: `v${one.variant}`, unit_id: unit };
    return one.version === 0 ? who : { ...who, allocation_version: one.version };
  }
  const surface = `s${one.surface}`;
  return { campaign_id: `x${one.entity}`, spend_micros: one.spend, user_id: unit, surface, is_valid: one.isValid || one.unit > 4 };
};

const SHAPED: Partial<Record<Shape, (fields: Record<string, unknown>) => void>> = {
  nested: (fields) => Object.assign(fields, { extra: { a: [1, { b: 'x' }] } }),
  'non-ASCII': (fields) => Object.assign(fields, { zzz: 'ünï', unit_id: 'ü', user_id: 'ü' }),
  'RFC 3339': (fields) => Object.assign(fields, { event_ts: new Date(Number(fields['event_ts'])).toISOString() }),
  'mapping of attributes': (fields) => Object.assign(fields, { attributes: { country: 'São', device_os: 'ios', age: 7 } }),
  'surface of 3 KB': (fields) => Object.assign(fields, { surface: 's'.repeat(3000) }),
  'padded with 300 KB': (fields) => Object.assign(fields, { big: 'y'.repeat(300_000) }),
  'no time': (fields) => Object.assign(fields, { event_ts: 'x' }),
};

function textOf(stream: Stream, one: Spec, eventTs: number): string | null {
  if (one.shape === 'null') return null;
  if (one.shape === 'empty') return '';
  if (one.shape === 'no object') return 'nope';
  const fields = { event_id: `e${one.id}`, event_ts: eventTs, ...fieldsOf(stream, one) };
  SHAPED[one.shape]?.(fields);
  if (one.shape === 'surface of 120 to 300 KB') Object.assign(fields, { surface: 's'.repeat(120_000 + 2000 * one.surface) });
  const json = JSON.stringify(fields);
  if (one.shape === 'spaced') return json.replaceAll('":', '" : ');
  return one.shape === 'escaped' ? json.replace('"e', '"\\u0065').replace('"x', '"\\u0078') : json;
}

/** Of all rounds, cut into batches. */
function batchesOf(stream: Stream, specs: readonly (readonly Spec[])[]): ListedRecord[][][] {
  let offset = 0;
  let nowMs = START_MS;
  return specs.map((round) => {
    const batches: ListedRecord[][] = [[]];
    for (const [i, one] of round.entries()) {
      if (!one.isTwin) nowMs += one.laterMs + one.pauseMs;
      const said = one.isTwin && i > 0 ? { ...round[i - 1], id: one.id } : one;
      const value = textOf(stream, said, nowMs - said.lateMs);
      const key = one.unit === 0 ? null : Buffer.from(`k${one.unit}`);
      batches.at(-1)?.push({ offset: offset++, timestampMs: nowMs, key, value: value === null ? null : Buffer.from(value) });
      if (one.isLastOfBatch && i + 1 < round.length) batches.push([]);
    }
    return batches;
  });
}

const told = (records: readonly OutRecord[]) =>
  records.map(({ topic, key, value, headers }) => [
    topic,
    key && Buffer.from(key).toString(),
    value && Buffer.from(value).toString(),
    headers,
  ]);

test.each(STREAMS)('%s one a batch, in blocks, and after restores count the same, and leave the same copies', (stream) => {
  const seen = { duplicates: 0, late: 0, invalid: 0, suspected: 0, violations: 0, forgotten: 0 };
  fc.assert(
    fc.property(rounds, (specs) => {
      const [alone, together, restored] = [new Staged(stream), new Staged(stream), new Staged(stream)];
      for (const [round, batches] of batchesOf(stream, specs).entries()) {
        for (const record of batches.flat()) alone.process([record]);
        for (const batch of batches) together.process(batch);
        if (round % 2 === 1) restored.restore();
        restored.process(batches.flat());
        const sides = alone.commit();
        for (const other of [together, restored]) {
          expect(told(other.commit())).toEqual(told(sides));
          expect(other.outcome()).toEqual(alone.outcome());
        }
        seen.violations += sides.filter(({ topic }) => topic === 'violations').length;
      }
      const { totals, variants } = alone.stage.state;
      seen.duplicates += totals.dispositions[1];
      seen.late += totals.dispositions[2];
      seen.invalid += totals.dispositions[3];
      seen.suspected += totals.sums.suspected;
      seen.forgotten += variants.generation;
    }),
    { numRuns: 60 },
  );
  const unseen = Object.entries(seen).flatMap(([name, times]) => (times === 0 ? [name] : []));
  expect(unseen).toEqual({ impressions: ['violations', 'forgotten'], exposures: [], assignments: ['violations'] }[stream]);
});

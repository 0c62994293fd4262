import { expect, test } from 'vitest';
import { SideTally } from '../../src/commands/side-tally.ts';
import type { OutRecord } from '../../src/topology/types.ts';

const PARTIALS = 'p.partials';
const copy = (output: string, offset: number, headers: Record<string, string>): OutRecord => ({
  topic: `p.${output}`,
  partition: null,
  key: null,
  value: null,
  headers: { source_topic: 'impressions', source_partition: '1', source_offset: String(offset), ...headers },
});
const partial: OutRecord = { topic: PARTIALS, partition: 0, key: null, value: new Uint8Array(1) };

test('repeats of a source count once; partials are handed on; a suspected copy is no duplicate', () => {
  const tally = new SideTally();
  const duplicate = copy('duplicates', 4, { reason: 'duplicate_event_id' });
  const suspected = copy('duplicates', 7, { reason: 'suspected_duplicate', suspected: 'true' });
  expect(tally.take([duplicate, partial, suspected], PARTIALS)).toEqual([partial]);
  expect(tally.take([duplicate, suspected, copy('late', 4, { reason: 'window_closed' })], PARTIALS)).toEqual([]);
  expect(tally.count('duplicates', 'duplicate_event_id')).toBe(1);
  expect(tally.count('duplicates')).toBe(2);
  expect([tally.count('late'), tally.count('invalid')]).toEqual([1, 0]);
  expect(tally.suspected()).toEqual([{ topic: 'impressions', partition: 1, offset: 7 }]);
});

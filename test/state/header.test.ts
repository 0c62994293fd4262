import { expect, test } from 'vitest';
import { checkHeader } from '../../src/state/header.ts';
import type { StateHeader } from '../../src/topology/types.ts';

const HEADER: StateHeader = {
  formatVersion: 2,
  hashSeedId: 'a1b2c3d4e5f60718',
  partitionCounts: { impressions: 8, 'exposure-stream.partials': 4 },
  epoch: 1,
  configuration: 'abc',
};

const codeOf = (now: Partial<StateHeader>): string => {
  try {
    checkHeader(HEADER, { ...HEADER, ...now });
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test('the same header, an older format, another configuration and another epoch are accepted', () => {
  expect(codeOf({})).toBe('accepted');
  expect(codeOf({ formatVersion: 3 })).toBe('accepted');
  expect(codeOf({ configuration: 'def' })).toBe('accepted');
  expect(codeOf({ epoch: 2 })).toBe('accepted');
});

test('a newer format and another seed are refused by name', () => {
  expect(codeOf({ formatVersion: 1 })).toBe('state_newer_format');
  expect(codeOf({ hashSeedId: '0000000000000000' })).toBe('state_other_seed');
});

test('another partition count is refused, with the topic and both counts', () => {
  expect(codeOf({ partitionCounts: { impressions: 16, 'exposure-stream.partials': 4 } })).toBe('partition_count_changed');
  const changed = { ...HEADER, partitionCounts: { ...HEADER.partitionCounts, impressions: 16 } };
  expect(() => checkHeader(HEADER, changed)).toThrow(/impressions has 16 partitions and had 8/);
});

test('a topic that only one of the two knows is not compared', () => {
  expect(codeOf({ partitionCounts: { impressions: 8, renamed: 9 } })).toBe('accepted');
});

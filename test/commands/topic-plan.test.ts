import { describe, expect, it } from 'vitest';
import { harmsOf, inputTopicsOf, outputSpecs } from '../../src/commands/topic-plan.ts';
import { loadSettings } from '../../src/config.ts';
import type { TopicDescription } from '../../src/topology/sources/kafka-topics.ts';

const DAY_MS = 86_400_000;
const settings = loadSettings({}, () => '');

const topic = (name: string, more: Partial<TopicDescription> = {}): TopicDescription => ({
  name,
  partitions: 8,
  timestampType: 'LogAppendTime',
  retentionMs: 7 * DAY_MS,
  cleanupPolicy: 'delete',
  maxMessageBytes: 1_048_588,
  ...more,
});
const named = (...topics: TopicDescription[]) => new Map(topics.map((each) => [each.name, each]));
const inputs = (more: Partial<TopicDescription> = {}) => named(...inputTopicsOf(settings).map((name) => topic(name, more)));
const planned = (name: string, existing: Map<string, TopicDescription>, isNew = false) =>
  outputSpecs(settings, 8, existing, isNew).find((spec) => spec.name === `exposure-stream.${name}`)?.settings;

describe('the plan of topics', () => {
  it('keeps partials as long as the longest of the inputs, for ever where one is, two weeks at least when inputs are new', () => {
    const mixed = named(topic('exposures'), topic('impressions', { retentionMs: 30 * DAY_MS }));
    expect(planned('partials', mixed)).toMatchObject({
      'retention.ms': String(30 * DAY_MS),
      'cleanup.policy': 'delete',
      'message.timestamp.type': 'LogAppendTime',
    });
    const endless = named(topic('exposures', { retentionMs: -1 }), topic('impressions', { retentionMs: 30 * DAY_MS }));
    expect(planned('partials', endless)).toMatchObject({ 'retention.ms': '-1' });
    expect(planned('partials', inputs(), true)).toMatchObject({ 'retention.ms': String(14 * DAY_MS) });
  });

  it('lets copies be as large as a value of 1,000,000 bytes with the largest key an input can hold', () => {
    const large = inputs({ maxMessageBytes: 40 << 20 });
    expect(Number(planned('invalid', large)?.['max.message.bytes'])).toBeGreaterThan(1_000_000 + (40 << 20));
    expect(Number(planned('late', inputs())?.['max.message.bytes'])).toBeGreaterThan(1_000_000 + 1_048_588);
  });

  it('creates nothing that it would then complain about', () => {
    const outputs = outputSpecs(settings, 8, inputs(), false).map(({ name, partitions, settings: given = {} }) =>
      topic(name, {
        partitions,
        cleanupPolicy: given['cleanup.policy'] ?? 'delete',
        retentionMs: Number(given['retention.ms'] ?? 7 * DAY_MS),
        maxMessageBytes: Number(given['max.message.bytes'] ?? 1_048_588),
      }),
    );
    expect(harmsOf(settings, new Map([...inputs(), ...named(...outputs)]))).toEqual([]);
  });

  it.each([
    [topic('exposures', { timestampType: 'CreateTime' }), 'warning', 'message.timestamp.type=LogAppendTime'],
    [topic('impressions', { cleanupPolicy: 'compact,delete' }), 'warning', 'cleanup.policy=delete'],
    [topic('exposure-stream.partials', { timestampType: 'CreateTime' }), 'warning', 'message.timestamp.type=LogAppendTime'],
    [topic('exposure-stream.partials', { cleanupPolicy: 'compact' }), 'error', 'cleanup.policy=delete'],
    [topic('exposure-stream.partials', { retentionMs: DAY_MS }), 'warning', `retention.ms=${7 * DAY_MS}`],
    [topic('exposure-stream.state'), 'warning', 'cleanup.policy=compact'],
    [topic('exposure-stream.late', { cleanupPolicy: 'compact' }), 'error', 'cleanup.policy=delete'],
    [topic('exposure-stream.unique'), 'warning', 'max.message.bytes='],
  ])('names $name where its settings do harm, and how to change them', (harmful, status, change) => {
    const [found, ...others] = harmsOf(settings, new Map([...inputs(), ...named(harmful)]));
    expect(others).toEqual([]);
    expect(found).toMatchObject({ topic: harmful.name, status, todo: expect.stringContaining(change) });
  });
});

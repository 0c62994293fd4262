import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { judgeKeys } from '../../src/commands/doctor-keys.ts';
import type { TailRecord } from '../../src/commands/kafka-tail.ts';

type Keying = (event: { event_id: string; campaign_id: string; user_id: string }) => string | null;

/** 100 impressions of 5 campaigns and 20 users. */
const keyedBy = (keying: Keying, names: Record<string, string> = {}): TailRecord[] =>
  Array.from({ length: 100 }, (_, i) => {
    const event = { event_id: `e-${i}`, campaign_id: `c${i % 5}`, user_id: `u${i % 20}` };
    const key = keying(event);
    const value = Object.fromEntries(Object.entries(event).map(([name, id]) => [names[name] ?? name, id]));
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    return { partition: 0, offset: i, key: key === null ? null : new TextEncoder().encode(key), value: bytes };
  });
const statusOf = (records: TailRecord[], fields = {}) => judgeKeys('impressions', records, fields).map(({ status }) => status);

describe('how impressions are keyed', () => {
  it.each<[string, Keying]>([
    ['event_id', ({ event_id }) => event_id],
    ['event_id with more around it', ({ event_id }) => `imp:${event_id}`],
    ['a hash of event_id', ({ event_id }) => createHash('md5').update(event_id).digest('hex')],
  ])('by %s: a warning', (_what, keying) => {
    expect(statusOf(keyedBy(keying))).toEqual(['warning']);
  });

  it.each<[string, Keying]>([
    ['campaign_id', ({ campaign_id }) => campaign_id],
    ['a hash of campaign_id', ({ campaign_id }) => createHash('md5').update(campaign_id).digest('hex')],
    ['user_id', ({ user_id }) => user_id],
  ])('by %s: all is well', (_what, keying) => {
    expect(statusOf(keyedBy(keying))).toEqual(['ok']);
  });

  it('is seen through a field mapping', () => {
    const names = { event_id: 'id', campaign_id: 'campaign' };
    expect(
      statusOf(
        keyedBy(({ event_id }) => event_id, names),
        names,
      ),
    ).toEqual(['warning']);
  });

  it('records without a key are named, and what is no JSON is passed over', () => {
    expect(statusOf(keyedBy(() => null))).toEqual(['warning']);
    const broken = keyedBy(({ campaign_id }) => campaign_id).map((record, i) =>
      i % 3 ? record : { ...record, value: Uint8Array.of(123) },
    );
    expect(statusOf(broken)).toEqual(['ok']);
    expect(statusOf([])).toEqual(['ok']);
  });
});

import { describe, expect, it } from 'vitest';
import { Oracle, type OracleRecord, type Verdict } from './oracle.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const NOON = Date.UTC(2026, 0, 5, 12);

const record = (topic: OracleRecord['topic'], fields: object, timestampMs = Number.NaN): OracleRecord => ({
  topic,
  partition: 0,
  key: Buffer.from('k'),
  value: Buffer.from(JSON.stringify(fields)),
  timestampMs,
});
const impression = (event_id: string, event_ts: unknown, more: object = {}) =>
  record('impressions', { event_id, campaign_id: 'c', spend_micros: 10, event_ts, ...more });
const exposure = (event_id: string, unit_id: string, variant_id: string, event_ts = NOON) =>
  record('exposures', { event_id, experiment_id: 'x', variant_id, unit_id, event_ts });
const dispositions = (oracle: Oracle, records: OracleRecord[]) => records.map((r) => oracle.feed(r).disposition);

describe('the oracle', () => {
  it('calls a record late from the millisecond on at which its window is closed, and keeps the watermark', () => {
    const oracle = new Oracle();
    const windowEnd = NOON + MINUTE;
    const closes = windowEnd + 15 * MINUTE + 30 * SECOND;
    expect(dispositions(oracle, [impression('a', closes - 1), impression('b', windowEnd - 1), impression('c', closes)])).toEqual(
      Array(3).fill('accepted'),
    );
    expect(oracle.feed(impression('d', windowEnd - 1))).toMatchObject({ disposition: 'late', watermarkMs: closes - 30 * SECOND });
    expect(oracle.feed(impression('e', windowEnd)).disposition).toBe('accepted');
    expect(oracle.money.late).toBe(10);
  });

  it('forgets an event_id when its bucket’s end and the TTL are behind the watermark; a duplicate renews nothing', () => {
    const oracle = new Oracle();
    const bucketEnd = NOON + HOUR;
    const gone = bucketEnd + 24 * HOUR + 30 * SECOND;
    const story = [
      impression('a', NOON),
      impression('b', gone - 1),
      impression('a', gone - 1),
      impression('c', gone),
      impression('a', gone),
    ];
    expect(dispositions(oracle, story)).toEqual(['accepted', 'accepted', 'duplicate', 'accepted', 'accepted']);
  });

  it('enters a late record into dedup, but not one whose own bucket is gone', () => {
    const oracle = new Oracle();
    const old = NOON - 30 * HOUR;
    const story = [impression('a', NOON), impression('b', NOON - HOUR), impression('b', NOON), impression('c', old), impression('c', old)];
    expect(dispositions(oracle, story)).toEqual(['accepted', 'late', 'duplicate', 'late', 'late']);
  });

  it('lets an invalid record leave nothing behind', () => {
    const oracle = new Oracle();
    const skewed = { ...impression('a', NOON + 5 * MINUTE + 1), timestampMs: NOON };
    const edge = { ...impression('a', NOON + 5 * MINUTE), timestampMs: NOON };
    expect(dispositions(oracle, [skewed, edge, { ...impression('b', NOON), key: null }, impression('b', NOON)])).toEqual([
      'invalid',
      'accepted',
      'invalid',
      'accepted',
    ]);
  });

  it('counts a unit where it was first, and contaminates it once', () => {
    const oracle = new Oracle();
    const verdicts = ['A', 'B', 'B', 'A'].map((variant, i) => oracle.feed(exposure(`e${i}`, 'u', variant, NOON + i * SECOND)));
    expect(verdicts.map((verdict: Verdict) => verdict.violation)).toEqual([false, true, true, false]);
    expect(oracle.units.get('x')).toEqual(new Map([['A', 1]]));
    expect(oracle.contaminated.get('x')).toBe(1);
  });

  it('suspects who, what and second again, and still counts it', () => {
    const oracle = new Oracle();
    const user = { user_id: 'u', surface: 'web' };
    const story = [
      impression('a', NOON, user),
      impression('b', NOON + 999, user),
      impression('c', NOON + 1000, user),
      impression('d', NOON, { user_id: 'u' }),
      impression('e', NOON),
      impression('f', NOON),
    ];
    expect(story.map((r) => oracle.feed(r).suspected)).toEqual([false, true, false, false, false, false]);
    expect(oracle.spend.get('c')?.get('2026-01-05')).toEqual({ spendMicros: 60, impressions: 6 });
  });

  it('books spend on the day of the campaign’s zone, and invalid traffic nowhere', () => {
    const oracle = new Oracle({}, () => 'Asia/Kathmandu');
    const midnight = Date.UTC(2026, 0, 5, 18, 15);
    for (const r of [impression('a', midnight - 1), impression('b', midnight), impression('c', midnight, { is_valid: false })])
      oracle.feed(r);
    expect([...oracle.spend.get('c')!.keys()]).toEqual(['2026-01-05', '2026-01-06']);
    expect(oracle.money.invalidTraffic).toBe(10);
  });

  it('names sources by Kafka’s own offsets, gaps included', () => {
    const oracle = new Oracle();
    oracle.feed(impression('a', NOON), 4);
    oracle.feed(impression('a', NOON), 9);
    oracle.feed(impression('b', NOON));
    expect([...oracle.output('duplicates').keys()]).toEqual(['impressions/0/9']);
    expect([...oracle.output('unique').keys()]).toEqual(['impressions/0/4', 'impressions/0/10']);
  });

  it.each([
    ['2026-01-05T12:00:00Z', NOON],
    ['2026-01-05T12:00:00.1239Z', NOON + 123],
    ['2026-01-05T17:45:00+05:45', NOON],
    ['2026-01-05T12:00:00-00:00', NOON],
    ['1969-12-31T23:00:00-01:00', 0],
    ['1.7676144e12', 'invalid'],
    ['2026-01-05t12:00:00Z', 'invalid'],
    ['2026-01-05T12:00:00', 'invalid'],
    ['2026-01-05T24:00:00Z', 'invalid'],
    ['2026-02-29T12:00:00Z', 'invalid'],
    ['2026-01-05T12:00:00+24:00', 'invalid'],
    ['0075-01-05T12:00:00Z', 'invalid'],
  ])('reads the time %s as %s', (time, expected) => {
    const oracle = new Oracle();
    const { disposition } = oracle.feed(impression('a', time));
    expect(disposition).toBe(expected === 'invalid' ? 'invalid' : 'accepted');
    if (expected !== 'invalid') expect(oracle.partition('impressions', 0).watermarkMs).toBe(Number(expected) - 30 * SECOND);
  });
});

/** What a person reads, and what a machine does. */
import { describe, expect, test } from 'vitest';
import { MemoryLedger } from '../../reconcile/memory-ledger.ts';
import { MemoryReconcileStore } from '../../reconcile/memory-store.ts';
import { printReport } from '../../reconcile/print.ts';
import { reportJson } from '../../reconcile/report-json.ts';
import { at, booked, CAMPAIGNS, CLOSED, counted, HOUR, PRICE, ReconcileStory, type StoreBed, UNTIL } from '../conformance/reconcile-bed.ts';

const LAST = UNTIL - HOUR;

function told(ledger: MemoryLedger) {
  ledger.nowMs = () => UNTIL + 17 * 60_000;
  ledger.positions = () => CLOSED;
  ledger.completeMs = { spend: UNTIL, exposure: UNTIL };
  return new ReconcileStory({ open: () => new MemoryReconcileStore(ledger) } as unknown as StoreBed);
}

const late = (id: string) => counted(id, LAST, { spendMicros: 90 * PRICE, impressions: 90, lateRecords: 10, lateMicros: 10 * PRICE });
const whole = (id: string) => ({ ...booked(id, LAST, 100 * PRICE, 100), bookedAtMs: UNTIL });

describe('the table', () => {
  test('says what was wrong, by how much, why, and what was done', async () => {
    const ledger = new MemoryLedger();
    ledger.rows = () => [late(CAMPAIGNS[0]), late('\u001b[31mred\u001b[0m {}: ünïcode of a very long name')];
    ledger.bookings = [whole(CAMPAIGNS[0]), whole('\u001b[31mred\u001b[0m {}: ünïcode of a very long name')];
    const text = printReport(await told(ledger).run(), 1.5);
    expect(text).toContain('SPEND      2 hours compared: 0 agree, 2 differ by 1.00 (10.00 % of 10.00)');
    expect(text).toMatch(/late_events +2 +2 +\+1\.00 {3}came too late for the stream; billing has them; the truth taken over/);
    expect(text).toMatch(/c00 +2026-03-10 09:00 +4\.50 +5\.00 +\+0\.50 {3}late_events/);
    expect(text).toContain('Done: 2 hours adjusted. 1.5 s');
    expect(text, 'an id moves no cursor').not.toContain('\u001b');
  });

  test('says that nothing differs, and why nothing could be compared', async () => {
    const ledger = new MemoryLedger();
    const story = told(ledger);
    ledger.rows = () => [counted('c', LAST, { spendMicros: 5 * PRICE, impressions: 5 })];
    ledger.bookings = [{ ...booked('c', LAST, 5 * PRICE, 5), bookedAtMs: 0 }];
    expect(printReport(await story.run(), 0)).toContain('1 hour compared: 1 agree, none differs');
    ledger.positions = () => [at('impressions', null)];
    expect(printReport(await story.run({ dryRun: true }), 0)).toContain('no hour is closed');
  });

  test('says that a run is held, and how to apply it', async () => {
    const ledger = new MemoryLedger();
    ledger.rows = () => [counted('c', LAST, { spendMicros: 100 * PRICE, impressions: 100 })];
    const report = await told(ledger).run();
    const text = printReport(report, 0);
    expect(text).toContain('5.00 would be credited back to budgets');
    expect(text).toContain('(not explained)');
    expect(text).toContain('The truth has no row at all for 1 of the 1 hours that differ');
    expect(text).toContain('HELD, nothing was applied: 1 of 1 campaigns would move without explanation');
    expect(text).toContain(`exposure-stream reconcile --approve ${report.head.runId}`);
  });
});

test('the object has no infinity in it, and times only in ISO form', async () => {
  const ledger = new MemoryLedger();
  const story = told(ledger);
  ledger.rows = () => [late('c')];
  ledger.bookings = [whole('c')];
  ledger.positions = () => [at('impressions', 0, { idle: true }), at('exposures', 0, { idle: true })];
  const json = reportJson(await story.run({ dryRun: true }), 2);
  expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  expect(json).toMatchObject({
    status: 'dry_run',
    adjusted: 1,
    cut: { event_time: '2026-03-10T10:00:00.000Z', closed_until: { spend: null } },
    deltas: [{ campaign_id: 'c', hour: '2026-03-10T09:00:00.000Z', class: 'late_events', delta_micros: 10 * PRICE, action: 'adjust' }],
    timing: { seconds: 2 },
  });
});

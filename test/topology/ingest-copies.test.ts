/** Copies that are many do not wait for an emission, and do not make one. */
import { expect, test } from 'vitest';
import { Staged } from './staged.ts';

const START_MS = 1_790_000_000_000;
const FEED = { endReachedMs: () => null, contactMs: () => 0 };

test('copies beyond 4 MB are sent alone, at once; what was counted meanwhile goes when its time has come', () => {
  const staged = new Staged('impressions');
  let offset = 0;
  const impression = (id: number, padding = 0) => {
    const text = { event_id: `e${id}`, campaign_id: 'c', spend_micros: 1, event_ts: START_MS, padding: 'x'.repeat(padding) };
    return { offset: offset++, timestampMs: START_MS, key: Buffer.from('k'), value: Buffer.from(JSON.stringify(text)) };
  };
  const sent = (monotonicMs: number) => {
    const out = staged.stage.emit({ monotonicMs, wallMs: 0 }, FEED, false);
    if (out !== null) staged.stage.delivered(undefined, { monotonicMs, wallMs: 0 });
    return out === null ? null : [...new Set(out.map(({ topic }) => topic))].sort();
  };
  staged.process([impression(0)]);
  expect(sent(0)).toEqual(['partials', 'unique']);
  staged.process([impression(1), impression(1, 300_000)]);
  expect([sent(1), staged.stage.dueMs()]).toEqual([null, 200]);
  for (let i = 0; i < 15; i++) staged.process([impression(1, 300_000)]);
  expect(staged.stage.dueMs()).toBe(Number.NEGATIVE_INFINITY);
  expect(sent(2)).toEqual(['duplicates', 'unique']);
  expect([sent(3), staged.stage.dueMs()]).toEqual([null, 200]);
  expect(sent(200)).toEqual(['partials']);
});

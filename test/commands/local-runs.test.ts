import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { demo } from '../../src/commands/demo.ts';
import type { Host } from '../../src/commands/host.ts';
import { replay } from '../../src/commands/replay.ts';
import { SystemClock } from '../../src/topology/clock.ts';

const START = Date.UTC(2026, 2, 2, 12);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'exposure-stream-replay-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A host that keeps what is printed. */
function hostOf(stopping = new AbortController().signal): { host: Host; printed: () => string } {
  const lines: string[] = [];
  const out = { write: (text: string) => lines.push(text) };
  const host: Host = { environment: { LOG_LEVEL: 'silent' }, clock: new SystemClock(), out, err: { write: () => true }, stopping };
  return { host, printed: () => lines.join('') };
}

const line = (at: number, fields: Record<string, unknown>): string => {
  const value = { event_id: `i${at}`, campaign_id: 'c', spend_micros: 3, event_ts: START + at, ...fields };
  return JSON.stringify({ topic: 'impressions', partition: 0, key: 'k', value });
};

test('replay prints the same bytes twice, timing apart, and writes side outputs that replay reads', async () => {
  const file = join(folder, 'in.ndjson');
  const lines = [line(0, {}), line(0, {}), line(1, { spend_micros: -1 }), line(3_600_000, {}), line(2, {})];
  await writeFile(file, `${lines.join('\n')}\n`);
  const run = async (): Promise<Record<string, unknown>> => {
    const { host, printed } = hostOf();
    expect(await replay(host, file, { partitions: 8, json: true, out: join(folder, 'out') })).toBe(0);
    const { timing, ...summary } = JSON.parse(printed()) as Record<string, unknown>;
    expect(timing).toEqual({ seconds: expect.any(Number), records_per_second: expect.any(Number) });
    return summary;
  };
  const first = await run();
  expect(JSON.stringify(await run())).toBe(JSON.stringify(first));
  expect(first).toMatchObject({
    streams: { impressions: { records: { accepted: 2, duplicate: 1, late: 1, invalid: 1 }, invalid_reasons: { bad_amount: 1 } } },
    money: { late_micros: 3, duplicate_micros: 3 },
    spend: { c: { '2026-03-02': { spend_micros: 6, impressions: 2 } } },
  });
  const late = JSON.parse(await readFile(join(folder, 'out', 'exposure-stream.late.ndjson'), 'utf8')) as Record<string, unknown>;
  expect(late).toMatchObject({
    key: 'k',
    headers: { source_offset: '4', reason: 'window_closed', watermark_ms: String(START + 3_570_000) },
  });
  expect(Buffer.from(String(late['value_base64']), 'base64').toString()).toContain('"event_id":"i2"');
});

test('a line that is no record ends replay by name, with its number', async () => {
  const file = join(folder, 'in.ndjson');
  await writeFile(file, `${line(0, {})}\nnot a record\n`);
  await expect(replay(hostOf().host, file, { partitions: 8, json: true })).rejects.toMatchObject({
    code: 'bad_line',
    message: expect.stringContaining('line 2'),
  });
});

test('a small demo ends with no difference to the truth, one kill on the way', async () => {
  const { host, printed } = hostOf();
  expect(await demo(host, { seed: 5, records: 3000, json: true })).toBe(0);
  const { pacing, ...shown } = JSON.parse(printed());
  expect(shown).toMatchObject({ kills: 1, different: 0 });
  expect(pacing.state).toBe('stopped');
  expect(pacing.spend_micros / pacing.cap_micros).toBeGreaterThan(0.85);
  expect(pacing.spend_micros / pacing.cap_micros).toBeLessThanOrEqual(1.05);
  expect(pacing.without_gate_micros / pacing.cap_micros).toBeGreaterThan(1.3);
});

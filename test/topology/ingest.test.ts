import { expect, test } from 'vitest';
import { DAY, HOUR, MINUTE, SECOND, START, Story } from './drive.ts';

/** Watermark = highest accepted event time − 30 s; a window takes records for 15 min after its end. */
const CLOSES = MINUTE + 15 * MINUTE + 30 * SECOND;

const spent = (story: Story, campaign = 'c'): string | undefined => story.counter(`spend:{${campaign}}:2026-03-02`)?.['spend_micros'];

test('an event whose window is closed goes to late, with the watermark that closed it, and adds nothing', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0, spend_micros: 5 });
  story.impression({ at: CLOSES, spend_micros: 7 });
  const late = story.impression({ at: MINUTE - 1, spend_micros: 100 });
  await story.pass(2 * SECOND);

  expect(spent(story)).toBe('12');
  expect(story.side('late')).toMatchObject([
    { offset: late, source: 'impressions/0', reason: 'window_closed', headers: { watermark_ms: String(START + 16 * MINUTE) } },
  ]);
  expect(process.dispositions('impressions')).toEqual([2, 0, 1, 0]);
});

test('one ms before the watermark closes it, a window still takes a record', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: CLOSES - 1 });
  story.impression({ at: 0 });
  await story.pass(2 * SECOND);
  expect(process.dispositions('impressions')).toEqual([2, 0, 0, 0]);
});

test('the watermark never goes back, and invalid, duplicate and late records do not move it', async () => {
  const story = new Story();
  const process = await story.started();
  const watermark = async (): Promise<number> => {
    await story.pass(2 * SECOND);
    return (process.ingest('impressions').stage?.watermarkMs ?? Number.NaN) - START + 30 * SECOND;
  };
  story.impression({ at: HOUR, event_id: 'known' });
  expect(await watermark()).toBe(HOUR);
  story.impression({ at: HOUR - MINUTE });
  expect(await watermark()).toBe(HOUR);
  story.impression({ at: 2 * HOUR, event_id: 'known' });
  story.impression({ at: 2 * HOUR, spend_micros: -1 });
  story.impression({ at: 2 * HOUR, kafkaAt: HOUR });
  story.impression({ at: 0 });
  expect(await watermark()).toBe(HOUR);
  expect(process.dispositions('impressions')).toEqual([2, 1, 1, 2]);
  story.impression({ at: HOUR + 1 });
  expect(await watermark()).toBe(HOUR + 1);
});

test('a late record is remembered: its copy is a duplicate, not late again', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: CLOSES });
  story.impression({ at: 0, event_id: 'slow' });
  story.impression({ at: CLOSES, event_id: 'slow' });
  await story.pass(2 * SECOND);
  expect(process.dispositions('impressions')).toEqual([1, 1, 1, 0]);
  expect(story.side('duplicates')).toMatchObject([{ offset: 2, reason: 'duplicate_event_id' }]);
});

test('every invalid record goes to its topic with its reason, key and bytes unchanged', async () => {
  const story = new Story();
  const process = await story.started();
  story.raw('impressions', 'no { json');
  story.raw('impressions', null);
  story.raw('impressions', JSON.stringify({ event_id: 'i', campaign_id: 'c', spend_micros: 1, event_ts: START }), null);
  await story.pass(2 * SECOND);
  expect(story.side('invalid').map(({ offset, reason, value }) => [offset, reason, value?.slice(0, 9) ?? null])).toEqual([
    [0, 'not_json', 'no { json'],
    [1, 'null_value', null],
    [2, 'missing_key', '{"event_i'],
  ]);
  expect(process.dispositions('impressions')).toEqual([0, 0, 0, 3]);
});

test('a value of more than a million bytes is copied cut, and says how long it was', async () => {
  const story = new Story();
  await story.started();
  story.raw('impressions', 'x'.repeat(1_000_000));
  story.raw('impressions', 'x'.repeat(1_000_001));
  await story.pass(2 * SECOND);
  expect(story.side('invalid').map(({ value, headers }) => [value?.length, headers['truncated']])).toEqual([
    [1_000_000, undefined],
    [65_536, '1000001'],
  ]);
});

test('an impression that is not valid takes its disposition and adds neither spend nor impression', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0, spend_micros: 3, event_id: 'bot', is_valid: false });
  story.impression({ at: 0, spend_micros: 3, event_id: 'bot', is_valid: false });
  story.impression({ at: 1, spend_micros: 4 });
  await story.pass(2 * SECOND);
  expect(story.counter('spend:{c}:2026-03-02')).toEqual({ spend_micros: '4', impressions: '1' });
  expect(process.dispositions('impressions')).toEqual([2, 1, 0, 0]);
  expect(process.ingest('impressions').stage?.committedTotals.sums).toMatchObject({ invalidTrafficMicros: 3, duplicateMicros: 3 });
});

test('a re-stamped copy stays accepted and counted, and is copied as suspected', async () => {
  const story = new Story();
  const process = await story.started();
  const shown = { user_id: 'u', surface: 's', spend_micros: 2 };
  story.impression({ ...shown, at: 0 });
  story.impression({ ...shown, at: 999 });
  story.impression({ ...shown, at: 1000 });
  story.impression({ ...shown, at: 0, surface: 'other' });
  story.impression({ ...shown, at: 0, campaign_id: 'other' });
  story.impression({ at: 0, spend_micros: 2 });
  story.impression({ at: 0, spend_micros: 2 });
  await story.pass(2 * SECOND);
  expect(story.side('duplicates')).toMatchObject([{ offset: 1, reason: 'suspected_duplicate', headers: { suspected: 'true' } }]);
  expect(process.dispositions('impressions')).toEqual([7, 0, 0, 0]);
  expect(spent(story)).toBe('12');
});

test('a copy is suspected also when a record right behind it closes the window of both', async () => {
  const story = new Story();
  await story.started();
  const shown = { user_id: 'u', surface: 's', spend_micros: 2 };
  // Within an hour, so that no id expires and the block is judged as a whole.
  const at = 60 * SECOND;
  story.impression({ ...shown, at });
  await story.pass(25 * 60 * SECOND);
  story.impression({ ...shown, at: at + 10 });
  story.impression({ ...shown, at: at + 20 * 60 * SECOND });
  story.impression({ ...shown, at: at + 20 });
  await story.pass(2 * SECOND);
  expect(story.side('duplicates').map(({ offset, reason }) => [offset, reason])).toEqual([[1, 'suspected_duplicate']]);
  expect(story.side('late')).toMatchObject([{ offset: 3 }]);
});

test('a copy is suspected as long as its window takes records', async () => {
  const story = new Story();
  await story.started();
  const shown = { user_id: 'u', surface: 's', spend_micros: 2 };
  story.impression({ ...shown, at: 0 });
  await story.pass(20 * 60 * SECOND);
  story.impression({ at: CLOSES - 1 });
  story.impression({ ...shown, at: 999 });
  await story.pass(2 * SECOND);
  expect(story.side('late')).toEqual([]);
  expect(story.side('duplicates')).toMatchObject([{ offset: 2, reason: 'suspected_duplicate' }]);
});

test('a surface that is empty and one that is missing are not the same place', async () => {
  const story = new Story();
  await story.started();
  story.impression({ at: 0, user_id: 'u' });
  story.impression({ at: 0, user_id: 'u', surface: '' });
  await story.pass(2 * SECOND);
  expect(story.side('duplicates')).toEqual([]);
});

test('the first exposure decides the variant; others are violations each time, and contaminate the unit once', async () => {
  const story = new Story();
  await story.started();
  story.exposure({ at: 0, variant_id: 'b' });
  story.exposure({ at: MINUTE, variant_id: 'a' });
  story.exposure({ at: 2 * MINUTE, variant_id: 'c' });
  story.exposure({ at: 3 * MINUTE, variant_id: 'b', allocation_version: 2 });
  story.exposure({ at: 4 * MINUTE, variant_id: 'a' });
  story.exposure({ at: 4 * MINUTE, unit_id: 'other', variant_id: 'a' });
  await story.pass(2 * SECOND);
  expect(story.side('violations').map(({ offset, reason }) => [offset, reason])).toEqual([
    [1, 'variant_changed'],
    [2, 'variant_changed'],
    [4, 'variant_changed'],
  ]);
  expect(story.counter('exposed:{e}')).toEqual({ contaminated: '1', 'units:b': '1', 'units:a': '1' });
});

test('the first exposure is the one of the lowest offset, not of the earliest event time', async () => {
  const story = new Story();
  await story.started();
  story.exposure({ at: MINUTE, variant_id: 'b' });
  story.exposure({ at: 0, variant_id: 'a' });
  await story.pass(2 * SECOND);
  expect(story.counter('exposed:{e}')).toEqual({ contaminated: '1', 'units:b': '1' });
});

test('a duplicate or late exposure is not read for the first exposure', async () => {
  const story = new Story();
  await story.started();
  story.exposure({ at: 0, event_id: 'x', experiment_id: 'other' });
  story.exposure({ at: 0, event_id: 'x', variant_id: 'b' });
  story.exposure({ at: CLOSES, unit_id: 'other', variant_id: 'b' });
  story.exposure({ at: 0, variant_id: 'b' });
  story.exposure({ at: CLOSES, variant_id: 'a' });
  await story.pass(2 * SECOND);
  expect(story.counter('exposed:{e}')).toEqual({ contaminated: '0', 'units:a': '1', 'units:b': '1' });
  expect(story.side('violations')).toEqual([]);
});

test('assignments are judged like exposures and change no count', async () => {
  const story = new Story();
  const process = await story.started();
  story.assignment({ at: 0, event_id: 'x' });
  story.assignment({ at: 0, event_id: 'x' });
  story.assignment({ at: CLOSES, variant_id: 'b' });
  story.assignment({ at: 0, unit_id: 'late' });
  await story.pass(2 * SECOND);
  expect(process.dispositions('assignments')).toEqual([2, 1, 1, 0]);
  expect(story.counter('exposed:{e}')).toBeNull();
  expect(story.side('violations')).toEqual([]);
});

test('nothing is shared between partitions, nor with the same number of another topic', async () => {
  const story = new Story({ partitions: 2 });
  const process = await story.started();
  story.impression({ at: DAY, event_id: 'x', partition: 0 });
  story.impression({ at: 0, event_id: 'x', partition: 1 });
  story.exposure({ at: 0, event_id: 'x', partition: 0 });
  story.exposure({ at: 0, event_id: 'y', variant_id: 'b', partition: 1 });
  await story.pass(2 * SECOND);
  expect(process.dispositions('impressions', 0)).toEqual([1, 0, 0, 0]);
  expect(process.dispositions('impressions', 1)).toEqual([1, 0, 0, 0]);
  expect(process.dispositions('exposures', 0)).toEqual([1, 0, 0, 0]);
  expect(story.counter('exposed:{e}')).toEqual({ contaminated: '0', 'units:a': '1', 'units:b': '1' });
});

test('`.unique` gets every accepted record of all streams, and nothing else, when it is asked for', async () => {
  const story = new Story();
  await story.started({ outputUnique: true });
  story.impression({ at: 0, event_id: 'x', is_valid: false });
  story.impression({ at: 0, event_id: 'x' });
  story.exposure({ at: 0 });
  story.exposure({ at: 1, variant_id: 'b' });
  story.assignment({ at: 0 });
  story.raw('assignments', '');
  await story.pass(2 * SECOND);
  const unique = story.side('unique').map(({ source, offset, reason }) => `${source}/${offset} ${reason}`);
  expect(unique.sort()).toEqual([
    'assignments/0/0 undefined',
    'exposures/0/0 undefined',
    'exposures/0/1 undefined',
    'impressions/0/0 undefined',
  ]);
});

test.each([
  ['still known while its bucket lives', -1, [2, 1, 0, 0]],
  ['forgotten once its bucket’s end is 24 h behind the watermark', 0, [3, 0, 0, 0]],
])('an event_id is %s', async (_, sooner, expected) => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0, event_id: 'x' });
  story.impression({ at: HOUR + DAY + 30 * SECOND + sooner });
  story.impression({ at: HOUR + DAY, event_id: 'x' });
  await story.pass(2 * SECOND);
  expect(process.dispositions('impressions')).toEqual(expected);
});

test('a late record whose own bucket is gone is looked up, but not remembered', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 2 * DAY });
  story.impression({ at: 0, event_id: 'x' });
  story.impression({ at: 0, event_id: 'x' });
  await story.pass(2 * SECOND);
  expect(process.dispositions('impressions')).toEqual([1, 0, 2, 0]);
});

test('a duplicate renews nothing: the key still goes with the bucket it was first seen with', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0, event_id: 'x' });
  story.impression({ at: 20 * HOUR });
  story.impression({ at: 20 * HOUR, event_id: 'x' });
  story.impression({ at: 26 * HOUR });
  story.impression({ at: 26 * HOUR, event_id: 'x' });
  await story.pass(2 * SECOND);
  expect(process.dispositions('impressions')).toEqual([4, 1, 0, 0]);
});

test('an experiment is forgotten after the unit TTL by event time, by the log alone: wherever commits and crashes fall', async () => {
  const settings = { time: { unitTtlMs: HOUR } };
  const told = async (crashAfter: number | null): Promise<unknown> => {
    const story = new Story({ settings });
    let process = await story.started();
    const exposures = [
      { at: 0, variant_id: 'a' },
      { at: HOUR + 30 * SECOND, experiment_id: 'clock' },
      { at: HOUR + 30 * SECOND, unit_id: 'v' },
      { at: HOUR + 31 * SECOND, variant_id: 'b' },
      { at: 3 * HOUR, experiment_id: 'clock' },
      { at: 3 * HOUR, variant_id: 'c' },
    ];
    for (const [i, exposure] of exposures.entries()) {
      story.exposure(exposure);
      if (crashAfter === i) {
        await story.pass(300);
        process.kill();
        process = await story.started();
      }
      if (crashAfter !== null) await story.pass(1100);
    }
    await story.pass(3 * SECOND);
    return { exposed: story.counter('exposed:{e}'), violations: new Set(story.side('violations').map(({ offset }) => offset)) };
  };
  const straight = await told(null);
  // Touched at exactly the TTL: kept, so `b` is a violation; three hours later forgotten, so `c` is a first exposure.
  expect(straight).toEqual({ exposed: { contaminated: '1', 'units:a': '2', 'units:c': '1' }, violations: new Set([3]) });
  for (let crashAfter = 0; crashAfter < 6; crashAfter++) expect(await told(crashAfter)).toEqual(straight);
});

test('an id that begins with a byte-order mark is another id', async () => {
  const story = new Story();
  await story.started();
  story.impression({ at: 0, campaign_id: '\ufeffc', spend_micros: 5 });
  story.impression({ at: 0, campaign_id: 'c', spend_micros: 3 });
  await story.pass(2 * SECOND);
  expect([spent(story, 'c'), spent(story, '\ufeffc')]).toEqual(['3', '5']);
});

test('more ids than allowed stop this task by name, and no other', async () => {
  const story = new Story({ partitions: 2, settings: { limits: { maxIds: 2 } } });
  const process = await story.started();
  for (let i = 0; i < 3; i++) story.impression({ at: 0, campaign_id: `c${i}` });
  story.impression({ at: 0, campaign_id: 'c0', partition: 1 });
  await story.pass(2 * SECOND);
  expect(process.failures).toEqual(['too_many_ids!']);
  expect(process.ingest('impressions', 0).state).toBe('stopped');
  expect(process.dispositions('impressions', 1)).toEqual([1, 0, 0, 0]);
});

test('more variants of one experiment than a unit can tell apart stop the task, naming the experiment; other experiments have their own', async () => {
  const failed: string[] = [];
  const story = new Story();
  const process = await story.started({ observer: { failed: (_, error) => failed.push(error.message) } });
  const MOST = 32_767;
  for (let i = 0; i < MOST; i++) story.exposure({ at: 0, experiment_id: i % 2 ? 'odd' : 'even', variant_id: `v${i}`, unit_id: `u${i}` });
  for (let i = 0; i < 20_000; i++) story.exposure({ at: 0, experiment_id: 'full', variant_id: `v${i}`, unit_id: `u${i}` });
  await story.pass(3 * SECOND);
  expect([process.failures, process.dispositions('exposures')]).toEqual([[], [MOST + 20_000, 0, 0, 0]]);
  for (let i = 20_000; i < MOST + 1; i++) story.exposure({ at: 0, experiment_id: 'full', variant_id: `v${i}`, unit_id: `u${i}` });
  await story.pass(3 * SECOND);
  expect(process.failures).toEqual(['too_many_variants!']);
  expect(failed[0]).toContain('experiment "full" has more than 32767 variants');
});

test('after a restart, and after its experiment was forgotten, a variant is still told from another', async () => {
  const story = new Story({ settings: { time: { unitTtlMs: HOUR } } });
  let process = await story.started();
  const restarted = async (): Promise<void> => {
    await story.pass(2 * SECOND);
    process.kill();
    process = await story.started();
  };
  for (const variant_id of ['a', 'b', 'c']) story.exposure({ at: 0, variant_id, unit_id: `of ${variant_id}` });
  await restarted();
  story.exposure({ at: 1, variant_id: 'd', unit_id: 'of a' });
  story.exposure({ at: 1, variant_id: 'b', unit_id: 'of b' });
  story.exposure({ at: 2 * HOUR, experiment_id: 'clock' });
  await restarted();
  story.exposure({ at: 2 * HOUR, variant_id: 'c', unit_id: 'of b' });
  await restarted();
  story.exposure({ at: 2 * HOUR, variant_id: 'c', unit_id: 'of b' });
  story.exposure({ at: 2 * HOUR, variant_id: 'a', unit_id: 'of b' });
  await story.pass(2 * SECOND);
  expect(story.counter('exposed:{e}')).toEqual({ contaminated: '2', 'units:a': '1', 'units:b': '1', 'units:c': '2' });
  expect(new Set(story.side('violations').map(({ offset }) => offset))).toEqual(new Set([3, 8]));
});

test('variants looked up together, and numbered anew before their turn since the experiment was forgotten, are told apart', async () => {
  const story = new Story({ settings: { time: { unitTtlMs: HOUR } } });
  await story.started();
  for (const variant_id of ['a', 'b']) story.exposure({ at: 0, variant_id, unit_id: `of ${variant_id}` });
  await story.pass(2 * SECOND);
  story.exposure({ at: 2 * HOUR, experiment_id: 'clock' });
  for (const variant_id of ['c', 'a', 'b']) story.exposure({ at: 2 * HOUR, variant_id, unit_id: 'u' });
  await story.pass(2 * SECOND);
  expect(story.counter('exposed:{e}')).toEqual({ contaminated: '1', 'units:a': '1', 'units:b': '1', 'units:c': '1' });
  expect(story.side('violations').map(({ offset }) => offset)).toEqual([4, 5]);
});

test.each([
  ['spend of a quarter hour', (i: number) => ({ at: i * SECOND })],
  ['money of duplicates in different hours', (i: number) => ({ at: i * HOUR, event_id: 'x' })],
  ['money of invalid traffic in different hours', (i: number) => ({ at: i * HOUR, is_valid: false })],
])('%s that would pass 2^53 − 1 stops the task by name instead of being rounded', async (_, place) => {
  const story = new Story({ settings: { limits: { maxSpendMicros: Number.MAX_SAFE_INTEGER } } });
  const process = await story.started();
  for (let i = 0; i < 3; i++) story.impression({ ...place(i), spend_micros: Number.MAX_SAFE_INTEGER });
  await story.pass(5 * SECOND);
  expect(process.failures).toEqual(['total_overflow!']);
});

test('after a jump of weeks closed cells are forgotten at once where they are few, and a large table a commit where they are not', async () => {
  for (const many of [0, 150_000]) {
    const story = new Story();
    const process = await story.started();
    story.impression({ at: 0, event_id: 'one', surface: 'app' });
    story.impression({ at: 0, event_id: 'one' });
    await story.pass(2 * SECOND);
    const { spend, surfaceSpend, spendEvidence } = process.ingest('impressions').stage?.state.cells ?? {};
    for (const table of [spend, surfaceSpend, spendEvidence]) for (let i = 0; i < many; i++) table?.at(0, 0, i);
    const seen: string[] = [];
    for (let i = 0; i < 5; i++) {
      story.impression({ at: 20 * DAY });
      await story.pass(SECOND);
      const left = [spend, surfaceSpend, spendEvidence].filter((table) => (table?.size ?? 0) > 1).length;
      if (String(left) !== seen.at(-1)) seen.push(String(left));
    }
    expect(seen.join(' ')).toMatch(many === 0 ? /^0$/ : /^(3 )?2 1 0$/);
    expect([spend?.size, surfaceSpend?.size, spendEvidence?.size]).toEqual([1, 0, 0]);
  }
});

/** What the bidder is told, from impressions in the log to `pace:` in Redis, through the production pipeline. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type BudgetRow, budgetForever, type CampaignRow, campaignForever } from '../../src/sinks/registry.ts';
import { writeAdjustments } from '../../src/topology/adjustments.ts';
import { DAY, HOUR, MINUTE, SECOND, START, Story, type StoryProcess } from './drive.ts';

const CAP = 1_000_000;
let story: Story;
beforeEach(() => {
  story = new Story();
});

/** Registers campaign c as given, or none, with one budget unless others are given. */
const register = (row: Partial<CampaignRow> = {}, budgets: BudgetRow[] = [budgetForever('c', CAP)]): void =>
  story.registry.set({
    campaigns: new Map([['c', [{ ...campaignForever('c', 'UTC'), ...row }]]]),
    budgets: new Map([['c', budgets]]),
  });
const pace = (id = 'c') => story.counters.get(`pace:{${id}}`)?.fields ?? {};
const told = (...names: string[]) => names.map((name) => pace()[name]);
/** Impressions as they happen: each is spent when it reaches Kafka. */
const win = (spendMicros: number): void => {
  const at = story.clock.now().wallMs - START;
  story.impression({ at, spend_micros: spendMicros });
};
/** The stream is quiet: rates have faded. */
const quiet = () => story.pass(5 * MINUTE);
/** To that time after the story's start, and all has settled. */
const leapTo = async (ms: number): Promise<void> => {
  const settledMs = 20 * SECOND;
  await story.pass(SECOND);
  story.clock.leap(ms - settledMs - story.clock.now().monotonicMs);
  await story.pass(settledMs);
};

describe('a registered campaign without traffic', () => {
  test('is told of with every field of the contract, and again every 5 s', async () => {
    register();
    await story.started();
    await story.pass(3 * SECOND);
    const now = story.clock.now().wallMs;
    const fields = pace();
    expect(fields).toMatchObject({
      state: 'open',
      reason: 'pacing',
      policy: 'graceful',
      day: '2026-03-02',
      day_start_ms: String(START - 12 * HOUR),
      day_end_ms: String(START + 12 * HOUR),
      cap_micros: String(CAP),
      spend_micros: '0',
      rate_micros_per_s: '0',
      epoch: '1',
    });
    expect(Number(fields['multiplier'])).toBeGreaterThan(0);
    expect(Number(fields['multiplier'])).toBeLessThanOrEqual(1);
    expect(Number(fields['target_micros'])).toBeCloseTo((CAP * 12) / 22, -3);
    expect(fields['curve'].split(',')).toHaveLength(25);
    expect(now - Number(fields['updated_ms'])).toBeLessThan(5 * SECOND);
    expect(now - Number(fields['counted_until_ms'])).toBeLessThan(5 * SECOND);
    expect(story.counters.get('pace:{c}')?.expiryMs).toBe(10 * MINUTE);
    for (let second = 0; second < 30; second++) {
      await story.pass(SECOND);
      expect(story.clock.now().wallMs - Number(pace()['updated_ms'])).toBeLessThanOrEqual(5 * SECOND);
    }
  });

  test.each([
    ['no budget', {}, [], 'no_budget'],
    ['a pause', { status: 'paused' }, undefined, 'paused'],
    ['an end in the past', { toMs: START - 1 }, undefined, 'not_valid'],
    ['a beginning in the future', { fromMs: START + DAY }, undefined, 'not_valid'],
  ] as const)('is stopped by %s, and says so', async (_, row, budgets, reason) => {
    register(row, budgets as unknown as BudgetRow[] | undefined);
    await story.started();
    await story.pass(3 * SECOND);
    expect(told('state', 'multiplier', 'reason')).toEqual(['stopped', '0', reason]);
  });

  test('hears of what changes in the registry within 5 s: a pause and its end, another budget, its own removal', async () => {
    register();
    await story.started();
    await story.pass(3 * SECOND);
    register({ status: 'paused' });
    await story.pass(5 * SECOND);
    expect(told('state', 'reason')).toEqual(['stopped', 'paused']);
    register({}, [{ ...budgetForever('c', 5 * CAP), fromMs: START - HOUR }]);
    await story.pass(5 * SECOND);
    expect(told('state', 'cap_micros')).toEqual(['open', String(5 * CAP)]);
    expect(pace()['curve'].endsWith(`,${5 * CAP}`)).toBe(true);
    story.registry.set({ campaigns: new Map(), budgets: new Map() });
    await story.pass(5 * SECOND);
    expect(told('state', 'reason')).toEqual(['stopped', 'not_valid']);
  });

  test('changes when a row that was registered before begins or ends, also while the registry cannot be read', async () => {
    register({}, [
      { ...budgetForever('c', CAP), toMs: START + MINUTE },
      { ...budgetForever('c', 3 * CAP), fromMs: START + MINUTE, toMs: START + 2 * MINUTE },
    ]);
    const process = await story.started();
    await story.pass(MINUTE - 2 * SECOND);
    expect(told('cap_micros')).toEqual([String(CAP)]);
    await story.pass(4 * SECOND);
    expect(told('cap_micros')).toEqual([String(3 * CAP)]);
    story.registry.load = () => Promise.reject(new Error('away'));
    await story.pass(MINUTE);
    expect(process.fatal).toEqual([]);
    expect(told('state', 'reason')).toEqual(['stopped', 'no_budget']);
  });

  test('belongs to one partition only', async () => {
    story = new Story({ partialsPartitions: 3 });
    const ids = Array.from({ length: 40 }, (_, i) => `c${i}`);
    story.registry.set({ campaigns: new Map(ids.map((id) => [id, [campaignForever(id, 'UTC')]])) });
    const process = await story.started();
    await story.pass(6 * SECOND);
    const shares = [0, 1, 2].map((partition) => process.evaluate(partition).stage?.pacing.campaigns.length ?? 0);
    expect(shares.reduce((sum, n) => sum + n)).toBe(40);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(ids.filter((id) => pace(id)['reason'] !== 'no_budget')).toEqual([]);
  });
});

describe('nothing is told', () => {
  test('before the first registry', async () => {
    register();
    const { registry } = story;
    const load = registry.load.bind(registry);
    registry.load = () => Promise.reject(new Error('away'));
    const process = story.process();
    void process.start();
    await story.pass(20 * SECOND);
    expect(story.counters.keys()).toEqual([]);
    registry.load = load;
    await story.pass(5 * SECOND);
    expect(told('state')).toEqual(['open']);
  });

  test('while the broker has not been heard of for 5 s', async () => {
    register();
    const process = await story.started();
    await story.pass(3 * SECOND);
    process.hold(/^poll exposure-stream.partials/);
    await story.pass(7 * SECOND);
    const before = pace()['updated_ms'];
    await story.pass(MINUTE);
    expect(pace()['updated_ms']).toBe(before);
  });

  test('after evaluate has lost its state, until it has read its log to the end', async () => {
    register();
    const first = await story.started();
    win(CAP / 2);
    await quiet();
    first.kill();
    story.disk.logs.delete(`evaluate/${story.partials.length > 0 ? 'exposure-stream.partials' : ''}/0`);
    const before = story.counters.get('pace:{c}');
    const second = story.process({ stages: ['evaluate'] });
    second.fault(/^poll/, new Error('slow'), 3);
    await second.start();
    let least = Number(before?.fields['spend_micros']);
    for (let step = 0; step < 200; step++) {
      await story.pass(50);
      least = Math.min(least, Number(pace()['spend_micros']));
    }
    expect(least).toBe(CAP / 2);
    expect(Number(pace()['updated_ms'])).toBeGreaterThan(Number(before?.fields['updated_ms']));
  });
});

describe('the ladder', () => {
  test('throttles, stops and kills as the money comes; what is killed stays so until a cap above it', async () => {
    register({ pacingCurve: 'accelerated' });
    await story.started();
    const seen: string[] = [];
    for (const micros of [900_000, 60_000, 40_000, 20_000]) {
      win(micros);
      await quiet();
      seen.push(`${pace()['state']} ${pace()['reason']} ${pace()['multiplier']}`);
    }
    expect(seen).toEqual(['open on_pace 1', 'throttled near_cap 0.8', 'stopped cap_reached 0', 'killed overspent 0']);
    register({ pacingCurve: 'accelerated' }, [budgetForever('c', 1_010_000)]);
    await story.pass(5 * SECOND);
    expect(told('state', 'cap_micros')).toEqual(['killed', '1010000']);
    register({ pacingCurve: 'accelerated' }, [budgetForever('c', 2_000_000)]);
    await story.pass(5 * SECOND);
    expect(told('state', 'multiplier')).toEqual(['open', '1']);
  });

  test('stops at 95 % where the policy is strict', async () => {
    register({ pacingPolicy: 'strict', pacingCurve: 'accelerated' });
    await story.started();
    win(950_000);
    await quiet();
    expect(told('state', 'reason', 'policy')).toEqual(['stopped', 'cap_projected', 'strict']);
  });

  test('counts what is won and not yet counted: a fast campaign is stopped before its cap', async () => {
    register({ pacingCurve: 'accelerated' });
    await story.started();
    for (let second = 0; second < 60 && pace()['state'] !== 'stopped'; second++) {
      win(20_000);
      await story.pass(SECOND);
    }
    expect(told('state', 'reason')).toEqual(['stopped', 'cap_projected']);
    expect(Number(pace()['spend_micros'])).toBeLessThan(CAP);
    expect(Number(pace()['spend_micros'])).toBeGreaterThan(0.92 * CAP);
    expect(Number(pace()['rate_micros_per_s'])).toBeGreaterThan(15_000);
    expect(Number(pace()['inflight_micros'])).toBe(Math.ceil(Number(pace()['rate_micros_per_s']) * 1.5));
    await quiet();
    expect(told('state', 'rate_micros_per_s')).toEqual([Number(pace()['spend_micros']) < 0.95 * CAP ? 'open' : 'throttled', '0']);
  });

  test('is seen in Redis a moment after the impression that changes it', async () => {
    register();
    await story.started();
    await story.pass(10 * SECOND);
    win(CAP);
    await story.pass(300);
    expect(told('state')).toEqual(['stopped']);
  });
});

describe('a new budget day', () => {
  test('begins at local midnight by Redis’ time; late spend of yesterday touches only yesterday’s spend', async () => {
    register({ timeZone: 'Asia/Kathmandu' });
    await story.started();
    // Midnight in Kathmandu is at 18:15 UTC.
    await leapTo(6.25 * HOUR - MINUTE);
    win(CAP);
    await story.pass(MINUTE - SECOND);
    expect(told('day', 'state')).toEqual(['2026-03-02', 'stopped']);
    await story.pass(2 * SECOND);
    expect(told('day', 'state', 'spend_micros', 'day_start_ms')).toEqual(['2026-03-03', 'open', '0', String(START + 6.25 * HOUR)]);
    story.impression({ at: 6.25 * HOUR - SECOND, spend_micros: 7 });
    await story.pass(10 * SECOND);
    expect(told('day', 'spend_micros')).toEqual(['2026-03-03', '0']);
    expect(story.counter('spend:{c}:2026-03-02')?.['spend_micros']).toBe(String(CAP + 7));
  });
});

describe('what is kept', () => {
  const multiplier = () => Number(pace()['multiplier']);

  test('of steering goes on after a restart where it was', async () => {
    register();
    const process = await story.started();
    await story.pass(15 * MINUTE);
    const before = multiplier();
    expect(before).toBeGreaterThan(0.2);
    process.kill();
    await story.started();
    await story.pass(5 * SECOND);
    expect(multiplier()).toBeGreaterThan(before * 0.99);
    expect(multiplier()).toBeLessThan(before * 1.05);
  });

  test('in Redis is made again when it was lost, within 5 s', async () => {
    register();
    await story.started();
    win(CAP / 4);
    await story.pass(10 * SECOND);
    story.counters.wipe();
    await story.pass(2 * SECOND);
    expect(told('state', 'spend_micros')).toEqual(['open', String(CAP / 4)]);
  });

  test('after a loss of state by Redis alone is not undercut: the larger spend decides', async () => {
    register();
    const process = await story.started();
    win(CAP);
    // Once its quarter hour is closed, nobody sends it again.
    await leapTo(HOUR);
    win(1);
    await quiet();
    expect(told('state', 'spend_micros')).toEqual(['stopped', String(CAP + 1)]);
    await lose(process);
    const second = await story.started({ acceptStateLoss: true });
    win(5);
    await story.pass(10 * SECOND);
    expect(second.evaluate().stage?.lossy).toBe(true);
    expect(second.evaluate().stage?.state.totals.spend.size).toBe(1);
    expect(told('state', 'spend_micros')).toEqual(['stopped', String(CAP + 1)]);
  });

  test('after a loss of state by Redis alone is asked for where nothing is spent, before anything is told', async () => {
    register({ pacingCurve: 'accelerated' });
    const process = await story.started();
    win(CAP);
    await leapTo(HOUR);
    expect(told('state')).toEqual(['stopped']);
    await lose(process);
    const before = story.counter('spend:{c}:2026-03-02');
    const toldMs = Number(pace()['updated_ms']);
    await story.started({ acceptStateLoss: true });
    for (let step = 0; step < 200; step++) {
      await story.pass(50);
      expect(told('state', 'spend_micros')).toEqual(['stopped', String(CAP)]);
    }
    expect(Number(pace()['updated_ms'])).toBeGreaterThan(toldMs + 5 * SECOND);
    expect(story.counter('spend:{c}:2026-03-02')).toEqual(before);
    // The next day may be known only in part as well; nobody has spent in it.
    await leapTo(12 * HOUR + MINUTE);
    expect(told('day', 'state', 'spend_micros')).toEqual(['2026-03-03', 'open', '0']);
    expect(story.counter('spend:{c}:2026-03-03')).toBeNull();
  });

  /** Evaluate's state is gone, and so are the records it was made of. */
  const lose = async (process: StoryProcess): Promise<void> => {
    process.kill();
    await story.pass(0);
    const log = story.broker.partition('exposure-stream.partials', 0);
    story.disk.logs.delete('evaluate/exposure-stream.partials/0');
    log.truncate(log.end);
  };
});

describe('a credit of the reconciler', () => {
  /** The hour that now belongs to is so much, says the reconciler. */
  const settle = (spendMicros: number, run: number): void => {
    const hourMs = Math.floor(story.clock.now().wallMs / HOUR) * HOUR;
    const cut = { untilMs: hourMs + HOUR, bookedBeforeMs: hourMs + run };
    const timestampMs = story.clock.now().wallMs;
    for (const value of writeAdjustments([{ campaignId: 'c', hourMs, spendMicros, impressions: 1, ...cut }]))
      story.broker.append('exposure-stream.partials', 0, { key: null, value, timestampMs });
  };

  test('reopens a stopped campaign for four fifths of what remains, until it will have looked again', async () => {
    register({ pacingCurve: 'accelerated' });
    await story.started();
    win(CAP);
    await quiet();
    expect(told('state')).toEqual(['stopped']);
    settle(500_000, 1);
    await story.pass(5 * SECOND);
    expect(told('state', 'spend_micros')).toEqual(['open', '500000']);
    await leapTo(HOUR / 2 + HOUR / 4);
    story.impression({ at: HOUR, spend_micros: 400_000 });
    await quiet();
    expect(told('state', 'reason')).toEqual(['stopped', 'credit_damped']);
    // The run that has credited it is told of as well, and is no later look.
    const hourMs = START;
    story.registry.reconciled = { untilMs: hourMs + HOUR, bookedBeforeMs: hourMs + 1 };
    await story.pass(10 * SECOND);
    expect(told('state', 'reason')).toEqual(['stopped', 'credit_damped']);
    story.registry.reconciled = { untilMs: hourMs + HOUR, bookedBeforeMs: hourMs + 2 };
    await story.pass(10 * SECOND);
    expect(told('state', 'spend_micros')).toEqual(['open', '900000']);
  });

  test('is damped for two hours where nothing is heard of the reconciler, also by who takes over meanwhile', async () => {
    register({ pacingCurve: 'accelerated' });
    const first = await story.started();
    win(CAP);
    await quiet();
    settle(500_000, 1);
    await story.pass(5 * SECOND);
    first.kill();
    await story.started();
    story.impression({ at: HOUR, spend_micros: 400_000 });
    await quiet();
    expect(told('state', 'reason')).toEqual(['stopped', 'credit_damped']);
    await leapTo(HOUR + 50 * MINUTE);
    expect(told('state', 'reason')).toEqual(['stopped', 'credit_damped']);
    await leapTo(2 * HOUR + 10 * MINUTE);
    expect(told('state', 'spend_micros')).toEqual(['open', '900000']);
  });

  test('in two parts reopens for four fifths of all that remains then', async () => {
    register({ pacingCurve: 'accelerated' });
    await story.started();
    win(CAP);
    await quiet();
    settle(900_000, 1);
    await story.pass(5 * SECOND);
    expect(told('state')).toEqual(['open']);
    settle(500_000, 2);
    await story.pass(5 * SECOND);
    story.impression({ at: HOUR, spend_micros: 390_000 });
    await quiet();
    expect(told('state', 'spend_micros')).toEqual(['open', '890000']);
    story.impression({ at: HOUR, spend_micros: 10_000 });
    await quiet();
    expect(told('state', 'reason')).toEqual(['stopped', 'credit_damped']);
  });

  test('is damped below the 95 % of a strict campaign too', async () => {
    register({ pacingCurve: 'accelerated', pacingPolicy: 'strict' });
    await story.started();
    win(950_000);
    await quiet();
    settle(900_000, 1);
    await story.pass(5 * SECOND);
    expect(told('state')).toEqual(['open']);
    story.impression({ at: HOUR, spend_micros: 40_000 });
    await quiet();
    expect(told('state', 'reason', 'spend_micros')).toEqual(['stopped', 'credit_damped', '940000']);
  });

  test('holds back as much as before when the cap is raised, and no more', async () => {
    register({ pacingCurve: 'accelerated' });
    await story.started();
    win(CAP);
    await quiet();
    settle(500_000, 1);
    await story.pass(5 * SECOND);
    story.impression({ at: HOUR, spend_micros: 400_000 });
    await quiet();
    expect(told('state', 'reason')).toEqual(['stopped', 'credit_damped']);
    register({ pacingCurve: 'accelerated' }, [budgetForever('c', 2 * CAP)]);
    await story.pass(5 * SECOND);
    expect(told('state')).toEqual(['open']);
    story.impression({ at: HOUR, spend_micros: CAP });
    await quiet();
    expect(told('state', 'reason')).toEqual(['stopped', 'credit_damped']);
  });

  test('is none where cells grow below an adjustment, or the truth is higher', async () => {
    register({ pacingCurve: 'accelerated' });
    await story.started();
    win(960_000);
    await quiet();
    expect(told('state')).toEqual(['throttled']);
    settle(970_000, 1);
    win(5000);
    await quiet();
    expect(told('state', 'spend_micros', 'reason')).toEqual(['throttled', '970000', 'near_cap']);
    win(1000);
    settle(999_999, 2);
    await quiet();
    expect(told('state', 'reason')).toEqual(['throttled', 'near_cap']);
  });
});

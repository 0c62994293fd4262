import { afterEach, describe, expect, it } from 'vitest';
import { type GateEvent, PacingGate } from '../../src/gate/gate.ts';
import type { ReaderListener } from '../../src/gate/reader.ts';
import type { GateSettings } from '../../src/gate/settings.ts';
import { HandClock } from '../topology/hand-clock.ts';
import { gateClock, MemoryPace } from './memory-pace.ts';
import { DAY_START, HOUR, NOON, paceHash } from './pace-key.ts';

const gates: PacingGate[] = [];
afterEach(() => {
  for (const gate of gates.splice(0)) gate.close();
});

/** A gate before a Redis in memory that holds campaign `c`; time stands at noon of its day. */
function story(settings: Partial<GateSettings> = {}) {
  const clock = new HandClock(NOON);
  const redis = new MemoryPace(clock);
  const events: GateEvent[] = [];
  let ready: () => void = () => undefined;
  const gate = new PacingGate(
    {
      clock: gateClock(clock),
      openReader: (listener) => {
        ready = () => listener.onReady();
        ready();
        return redis;
      },
      onEvent: (event) => void events.push(event),
    },
    settings,
  );
  gates.push(gate);
  let version = 1000;
  /** What evaluate does every second. */
  const write = (changes: Record<string, string | number> = {}, campaignId = 'c') => {
    version += 1;
    redis.set(campaignId, paceHash({ version, counted_until_ms: redis.timeMs, updated_ms: redis.timeMs, ...changes }));
  };
  /** So many seconds in which evaluate writes and the campaign is checked; the answers. */
  const live = async (seconds: number, changes: Record<string, string | number> = {}) => {
    const answers = [];
    for (let second = 0; second < seconds; second++) {
      write(changes);
      await clock.pass(1000);
      answers.push(gate.check('c'));
    }
    return answers;
  };
  return { clock, redis, gate, events, write, live, ready: () => ready() };
}

const open = { multiplier: 0.5, state: 'open', reason: 'pacing' };

describe('a campaign', () => {
  it('is closed at its first check, and as Redis has it some ms later', async () => {
    const { clock, gate, write } = story();
    write();
    expect(gate.check('c')).toEqual({ multiplier: 0, state: 'closed', reason: 'not_read_yet' });
    await clock.pass(20);
    expect(gate.check('c')).toEqual(open);
  });

  it('that Redis does not know is closed, and open within a refresh of its first pace', async () => {
    const { clock, gate, write } = story();
    gate.check('c');
    await clock.pass(20);
    expect(gate.check('c')).toEqual({ multiplier: 0, state: 'closed', reason: 'key_missing' });
    write();
    await clock.pass(1000);
    expect(gate.check('c')).toEqual(open);
  });

  it('is refreshed every second, and what changed is told', async () => {
    const { live } = story();
    expect((await live(3)).at(-1)).toEqual(open);
    expect((await live(1, { state: 'stopped', multiplier: 0, reason: 'paused' })).at(-1)).toEqual({
      multiplier: 0,
      state: 'stopped',
      reason: 'paused',
    });
  });

  it('is stopped between two refreshes, when the money projected to this moment reaches the cap', async () => {
    const { clock, gate, live } = story();
    await live(2);
    // $227 of $240 and $20 a second: 95 % after 50 ms, the cap after 650 ms.
    await live(1, { spend_micros: 227_000_000, rate_micros_per_s: 20_000_000 });
    expect(gate.check('c')).toMatchObject({ state: 'stopped', reason: 'cap_projected' });
    await clock.pass(1);
    expect(gate.check('c').multiplier).toBe(0);
  });

  it('whose new day is not written yet is closed from the day’s end on, by Redis’ clock between two refreshes', async () => {
    const { clock, gate, live } = story();
    await live(2, { day_end_ms: NOON + 2500 });
    expect(gate.check('c')).toEqual(open);
    await clock.pass(499);
    expect(gate.check('c')).toEqual(open);
    await clock.pass(1);
    expect(gate.check('c')).toEqual({ multiplier: 0, state: 'closed', reason: 'day_ended' });
    expect((await live(2, { day_start_ms: NOON + 2500, spend_micros: 0 })).at(-1)).toEqual(open);
  });
});

describe('of a key', () => {
  it('no more is read than changes, and the rest as soon as the plan has another name', async () => {
    const { clock, redis, gate, live, write } = story();
    await live(2);
    redis.wholeKeys = 0;
    await live(5);
    expect(redis.wholeKeys).toBe(0);
    write({ cap_micros: 100_000_000, spend_micros: 120_000_000 });
    await clock.pass(1000);
    await clock.pass(10);
    expect(gate.check('c')).toMatchObject({ state: 'killed', reason: 'overspent' });
    expect(redis.wholeKeys).toBe(1);
    await live(5, { cap_micros: 100_000_000, spend_micros: 120_000_000 });
    expect(redis.wholeKeys).toBe(1);
  });

  it('all is read each time where its writer gives plans no name', async () => {
    const { redis, gate, live } = story();
    await live(2, { plan: '' });
    redis.wholeKeys = 0;
    await live(2, { plan: '' });
    await live(2, { plan: '', cap_micros: 100_000_000, spend_micros: 120_000_000 });
    expect(redis.wholeKeys).toBe(4);
    expect(gate.check('c').state).toBe('killed');
  });

  it('that is an old dump with another plan only the brief fields are read, and none is believed', async () => {
    const { redis, gate, live, clock } = story();
    await live(2);
    redis.set('c', paceHash({ version: 3, cap_micros: 5, updated_ms: NOON - HOUR }));
    redis.wholeKeys = 0;
    await clock.pass(3000);
    expect(gate.check('c')).toEqual(open);
    expect(redis.wholeKeys).toBe(0);
    expect(gate.stats.outdated).toBe(3);
  });

  it('whose whole could not be read, it is asked for again with the next read', async () => {
    const { redis, gate, live, clock, write } = story();
    await live(2);
    write({ cap_micros: 100_000_000, spend_micros: 120_000_000 });
    redis.failsWhole = true;
    await clock.pass(1010);
    expect(gate.check('c')).toEqual(open);
    redis.failsWhole = false;
    await clock.pass(1000);
    expect(gate.check('c').state).toBe('killed');
  });
});

describe('when evaluate stands still', () => {
  it('the gate goes on by itself for 30 s, then conservatively, and comes back 5 s after the first fresh values', async () => {
    const { clock, gate, live, write } = story();
    await live(3);
    await clock.pass(28_000);
    expect(gate.check('c')).toEqual(open);
    await clock.pass(2000);
    expect(gate.check('c')).toMatchObject({ state: 'conservative', reason: 'stale' });
    write();
    await clock.pass(1000);
    expect(gate.check('c')).toMatchObject({ state: 'conservative', reason: 'recovering' });
    expect((await live(4)).map(({ state }) => state)).toEqual(['conservative', 'conservative', 'conservative', 'conservative']);
    expect((await live(2)).at(-1)).toEqual(open);
  });

  it('conservative bids so that 80 % of the planned rate goes on', async () => {
    const { clock, gate, live } = story();
    await live(3, { rate_micros_per_s: 5556 });
    await clock.pass(60_000);
    // Twice the planned rate at multiplier .5: .4 of it may go on.
    expect(gate.check('c').multiplier).toBeCloseTo(0.5 * 0.4, 3);
  });

  it('a campaign that was stopped stays stopped', async () => {
    const { clock, gate, live } = story();
    await live(3, { state: 'stopped', multiplier: 0, reason: 'cap_reached' });
    await clock.pass(3 * HOUR);
    gate.check('c');
    await clock.pass(1500);
    expect(gate.check('c')).toEqual({ multiplier: 0, state: 'stopped', reason: 'cap_reached' });
  });

  it('for hours, a campaign that had no traffic cannot run through its cap when traffic comes', async () => {
    const { clock, gate, live } = story();
    await live(3, { rate_micros_per_s: 0, spend_micros: 12_000_000, multiplier: 1 });
    // Bidding on everything, it would spend the whole cap every two hours.
    let spent = 12_000_000;
    const multipliers = [];
    for (let minute = 0; minute < 11 * 60; minute++) {
      const { multiplier } = gate.check('c');
      multipliers.push(multiplier);
      spent += multiplier * 2_000_000;
      await clock.pass(60_000);
    }
    expect(spent).toBeLessThan(120_000_000);
    expect(multipliers.slice(0, 9)).toEqual(new Array(9).fill(1));
    expect(multipliers).toEqual(multipliers.toSorted((a, b) => b - a));
    expect(multipliers.at(-1)).toBeLessThan(0.02);
  });

  it('for hours, the campaign ends below its cap', async () => {
    const { clock, gate, live } = story();
    await live(3);
    let spent = 120_000_000;
    for (let minute = 0; minute < 11 * 60; minute++) {
      const { multiplier } = gate.check('c');
      spent += (multiplier / 0.5) * 2778 * 60;
      await clock.pass(60_000);
    }
    expect(spent).toBeGreaterThan(200_000_000);
    expect(spent).toBeLessThan(240_000_000);
  });
});

describe('when Redis', () => {
  it('does not answer for 5 s, every campaign is conservative, and stays so for 5 s after it is back', async () => {
    const { clock, redis, gate, live, events } = story();
    await live(3);
    redis.state = 'down';
    await clock.pass(4000);
    expect(gate.check('c')).toEqual(open);
    await clock.pass(1500);
    expect(gate.check('c')).toMatchObject({ state: 'conservative', reason: 'redis_gone' });
    expect(gate.check('new')).toEqual({ multiplier: 0, state: 'closed', reason: 'redis_gone' });
    redis.state = 'up';
    expect((await live(4)).map(({ reason }) => reason)).toEqual(['recovering', 'recovering', 'recovering', 'recovering']);
    expect((await live(2)).at(-1)).toEqual(open);
    expect(events.map(({ kind }) => kind).filter((kind) => kind.startsWith('redis_'))).toEqual(['redis_gone', 'redis_back']);
  });

  it('is wiped, the campaign is conservative until its key is back, without a moment closed', async () => {
    const { clock, redis, gate, live } = story();
    await live(3);
    redis.hashes.clear();
    await clock.pass(1000);
    expect(gate.check('c')).toMatchObject({ state: 'conservative', reason: 'key_missing' });
    expect((await live(1)).at(-1)).toMatchObject({ state: 'conservative', reason: 'recovering' });
    expect((await live(5)).at(-1)).toEqual(open);
  });

  it('comes back with an old dump, what is known stands until it is stale', async () => {
    const { clock, redis, gate, live, events } = story();
    const old = paceHash({ version: 500, spend_micros: 60_000_000, counted_until_ms: NOON - HOUR, updated_ms: NOON - HOUR });
    await live(3, { state: 'throttled', multiplier: '0.1', reason: 'near_cap', spend_micros: 238_000_000, rate_micros_per_s: 0 });
    redis.set('c', old);
    await clock.pass(5000);
    expect(gate.check('c')).toEqual({ multiplier: 0.1, state: 'throttled', reason: 'near_cap' });
    expect(gate.stats.outdated).toBe(5);
    expect(events).toContainEqual({ kind: 'outdated', key: 'pace:{c}' });
    await clock.pass(30_000);
    expect(gate.check('c')).toMatchObject({ state: 'conservative', reason: 'stale' });
  });

  it('holds fresh values at a lower position, they are believed only when what is known is stale', async () => {
    const { clock, redis, gate, live } = story();
    await live(3);
    for (let second = 0; second < 40; second++) {
      redis.set('c', paceHash({ version: 7, multiplier: '0.9', counted_until_ms: redis.timeMs, updated_ms: redis.timeMs }));
      await clock.pass(1000);
      if (second === 20) expect(gate.check('c')).toEqual(open);
      else gate.check('c');
    }
    expect(gate.check('c')).toMatchObject({ multiplier: 0.9, state: 'open' });
  });

  it('answers after 500 ms, nothing is asked twice at a time and everything stays fresh', async () => {
    const { redis, live } = story();
    redis.delayMs = 500;
    const answers = await live(10);
    expect(answers.slice(2).every(({ state }) => state === 'open')).toBe(true);
    expect(redis.reads.length).toBeLessThanOrEqual(12);
  });

  it('hangs, one read at a time is waited for and then broken off with its connection', async () => {
    const { clock, redis, gate, live } = story();
    await live(3);
    redis.state = 'hangs';
    const before = redis.reads.length;
    for (let second = 0; second < 10; second++) {
      await clock.pass(1000);
      gate.check('c');
    }
    expect(redis.reads.slice(before).length).toBeLessThanOrEqual(4);
    expect(redis.reconnects).toBeGreaterThanOrEqual(3);
    expect(gate.check('c')).toMatchObject({ state: 'conservative', reason: 'redis_gone' });
    redis.state = 'up';
    expect((await live(8)).at(-1)).toEqual(open);
  });

  it('refuses every read on a connection that never becomes usable, the connection is made anew', async () => {
    const { clock, redis } = story();
    redis.state = 'down';
    await clock.pass(20_000);
    expect(redis.reconnects).toBeGreaterThanOrEqual(2);
    expect(redis.reconnects).toBeLessThanOrEqual(4);
  });

  it.each([
    ['behind', -600_000],
    ['ahead', 600_000],
  ])('has its clock 10 minutes %s the machine’s, nothing changes: only Redis’ clock counts', async (_, aheadMs) => {
    const { redis, live } = story();
    redis.aheadMs = aheadMs;
    expect((await live(3)).at(-1)).toEqual(open);
  });

  it('has its clock 10 minutes behind Kafka’s, values that stop coming are stale after 30 s all the same', async () => {
    const { clock, redis, gate, live } = story();
    redis.aheadMs = -600_000;
    const byKafka = () => ({ counted_until_ms: redis.timeMs + 600_000 });
    await live(1, byKafka());
    expect((await live(2, byKafka())).at(-1)).toEqual(open);
    await clock.pass(32_000);
    expect(gate.check('c')).toMatchObject({ state: 'conservative', reason: 'stale' });
  });

  it('has its clock 10 minutes ahead of Kafka’s, what is counted looks old and bids are conservative', async () => {
    const { redis, live } = story();
    redis.aheadMs = 600_000;
    const answers = await live(3, { counted_until_ms: NOON });
    expect(answers.at(-1)).toMatchObject({ state: 'conservative', reason: 'stale' });
  });
});

describe('memory and manners', () => {
  it('a campaign that nobody checks is refreshed just so often that it is not stale when somebody does', async () => {
    const { clock, redis, gate, write } = story();
    write();
    gate.check('c');
    await clock.pass(62_000);
    redis.reads.length = 0;
    for (let second = 0; second < 60; second++) {
      write({ multiplier: second / 100 });
      await clock.pass(1000);
    }
    expect(redis.reads.filter((keys) => keys > 0)).toHaveLength(4);
    expect(gate.check('c')).toMatchObject({ state: 'open' });
    await clock.pass(20);
    expect(gate.check('c')).toMatchObject({ multiplier: 0.59, state: 'open' });
  });

  it('a campaign that is asked for once in six hours, as one bidder of many does, is open each time', async () => {
    const { clock, gate, write } = story();
    write();
    gate.check('c');
    await clock.pass(20);
    const answers = [];
    for (let second = 1; second <= 12 * 3600; second++) {
      if (second % 3 === 0) write({ day_end_ms: NOON + 24 * HOUR });
      await clock.pass(1000);
      if (second % (6 * 3600) === 0) answers.push(gate.check('c').state);
    }
    expect(answers).toEqual(['open', 'open']);
  });

  it('a campaign of which nothing is known is forgotten after a minute, any other after a day', async () => {
    const { clock, gate, write } = story();
    write();
    gate.check('c');
    gate.check('unknown');
    await clock.pass(62_000);
    expect(gate.stats).toMatchObject({ campaigns: 1, known: 1, refreshed: 0 });
    await clock.pass(23 * HOUR);
    expect(gate.stats.campaigns).toBe(1);
    await clock.pass(HOUR);
    expect(gate.stats.campaigns).toBe(0);
  });

  it('where room grows short, what nobody has checked for an hour makes room', async () => {
    const { clock, gate, write } = story({ maxCampaigns: 2 });
    for (const id of ['c', 'd']) {
      write({}, id);
      gate.check(id);
    }
    await clock.pass(HOUR / 2);
    gate.check('d');
    expect(gate.check('e').reason).toBe('too_many_campaigns');
    await clock.pass(HOUR / 2 + 2000);
    expect(gate.check('d').state).not.toBe('closed');
    expect(gate.check('e').reason).toBe('not_read_yet');
  });

  it('no more campaigns are held than the setting says', async () => {
    const { gate } = story({ maxCampaigns: 2 });
    gate.check('a');
    gate.check('b');
    expect(gate.check('c')).toEqual({ multiplier: 0, state: 'closed', reason: 'too_many_campaigns' });
    expect(gate.stats.campaigns).toBe(2);
  });

  it('many campaigns are read in slices over the second, each once', async () => {
    const { clock, redis, gate } = story();
    for (let at = 0; at < 1600; at++) gate.check(`c${at}`);
    await clock.pass(1100);
    redis.reads.length = 0;
    await clock.pass(1000);
    expect([...redis.reads].sort((a, b) => b - a)).toEqual([500, 500, 500, 100]);
  });

  it('a gate that nobody asks anything still knows that Redis is there', async () => {
    const { clock, gate } = story();
    await clock.pass(60_000);
    expect(gate.stats).toMatchObject({ isRedisGone: false, readsFailed: 0 });
  });

  it('preload resolves when all are read, and says so when they could not be', async () => {
    const { clock, redis, gate, write } = story();
    write();
    const loaded = gate.preload(['c', 'unknown']);
    await clock.pass(20);
    expect(await loaded).toBe(true);
    expect(gate.check('c')).toEqual(open);
    redis.state = 'down';
    const late = gate.preload(['d'], 3000);
    await clock.pass(3000);
    expect(await late).toBe(false);
  });

  it('before there is a connection nothing is asked, and nothing fails', async () => {
    const clock = new HandClock(NOON);
    const redis = new MemoryPace(clock);
    redis.set('c', paceHash());
    let ready: () => void = () => undefined;
    const openReader = (listener: ReaderListener) => {
      ready = () => listener.onReady();
      return redis;
    };
    const gate = new PacingGate({ clock: gateClock(clock), openReader });
    gates.push(gate);
    gate.check('c');
    await clock.pass(1500);
    expect(redis.reads).toEqual([]);
    ready();
    await clock.pass(1);
    expect(gate.check('c')).toEqual(open);
    expect(gate.stats).toMatchObject({ reads: 1, readsFailed: 0 });
  });

  it('a connection that is back is used at once for what was never read', async () => {
    const { clock, redis, gate, write, ready } = story();
    write();
    redis.state = 'down';
    gate.check('c');
    await clock.pass(300);
    redis.state = 'up';
    ready();
    await clock.pass(10);
    expect(gate.check('c')).toEqual(open);
  });

  it('a key that holds something else is closed, named, and never thrown about', async () => {
    const { clock, redis, gate, events } = story();
    redis.set('c', paceHash({ cap_micros: 'much' }));
    gate.check('c');
    await clock.pass(20);
    expect(gate.check('c')).toEqual({ multiplier: 0, state: 'closed', reason: 'key_unreadable' });
    expect(events).toContainEqual({ kind: 'unreadable', key: 'pace:{c}' });
  });

  it('a listener that throws disturbs nothing', async () => {
    const clock = new HandClock(NOON);
    const redis = new MemoryPace(clock);
    redis.set('c', paceHash());
    const onEvent = () => {
      throw new Error('a fault of the bidder’s');
    };
    const openReader = (listener: ReaderListener) => {
      listener.onReady();
      return redis;
    };
    const gate = new PacingGate({ clock: gateClock(clock), openReader, onEvent });
    gates.push(gate);
    gate.check('c');
    await clock.pass(3000);
    expect(gate.check('c')).toEqual(open);
  });

  it('closed, it reads no more and lets nothing through', async () => {
    const { clock, redis, gate, live } = story();
    await live(2);
    gate.close();
    redis.reads.length = 0;
    await clock.pass(10_000);
    expect(redis).toMatchObject({ reads: [], isClosed: true });
    expect(gate.check('c')).toEqual({ multiplier: 0, state: 'closed', reason: 'gate_closed' });
  });

  it('a setting that cannot be is refused by name', () => {
    expect(() => story({ refreshMs: 0 })).toThrow('refreshMs is a number above 0, not 0');
  });

  it('of the day before nothing is carried over', async () => {
    const { live, gate } = story();
    await live(2, { day_start_ms: DAY_START - 24 * HOUR, day_end_ms: DAY_START });
    expect(gate.check('c')).toMatchObject({ state: 'closed', reason: 'day_ended' });
  });
});

/** What is old is forgotten a step a commit; an hour goes with all that its sources have contributed, or not at all. */
import { expect, test } from 'vitest';
import { DAY, MINUTE, SECOND, START } from './drive.ts';
import { Fed, limits, pace, spend } from './fed.ts';

const CAMPAIGNS = 40_000;
const DROPPED_A_STEP = 32_768;
/** Enough for all cells. */
const COMMITS = 10;
const RETIRED_MS = START + limits.slotRetentionMs + 3 * DAY;

const from = (partition: number, watermarkMs = START) => ({ partition, partitions: 2, watermarkMs });
const campaigns = Array.from({ length: CAMPAIGNS }, (_, i) => `c${i}`);

/** Two sources have spent 5 and 7 in an hour that is over by now; so many hours are not in Postgres. */
function aged(missing: number): Fed {
  const fed = new Fed();
  for (const [partition, micros] of [5, 7].entries())
    fed.take(
      campaigns.map((id) => spend(id, micros)),
      from(partition),
    );
  // A day has begun with the first commit: nothing is old yet, and these look at all.
  for (let n = 0; n < COMMITS; n++) fed.commit();
  fed.stage.takeHours(CAMPAIGNS - missing);
  fed.stage.hoursLanded(true);
  for (const partition of [0, 1]) fed.take([], from(partition, RETIRED_MS));
  return fed;
}

const held = ({ stage: { state } }: Fed): number[] => [state.bySource.spend.size, state.totals.spend.size, state.days.table.size];

test('no commit drops more than a step’s worth, and in the end all is gone', () => {
  const fed = aged(0);
  const steps: number[] = [];
  for (let before = CAMPAIGNS * 4; before > 0; ) {
    fed.commit();
    const now = held(fed).reduce((sum, size) => sum + size);
    steps.push(before - now);
    before = now;
  }
  expect(Math.max(...steps)).toBeLessThan(1.2 * DROPPED_A_STEP);
  expect(steps.length).toBeGreaterThanOrEqual((CAMPAIGNS * 4) / DROPPED_A_STEP);
  fed.take([spend('c0', 9)], from(0, RETIRED_MS));
  expect([held(fed), fed.stage.state.forgottenCells]).toEqual([[0, 0, 0], 1]);
});

test('an hour that Postgres did not have when it began stays whole, although it gets it in the midst', () => {
  const fed = aged(100);
  fed.commit();
  fed.flushHours();
  for (let n = 0; n < COMMITS; n++) fed.commit();
  expect(held(fed)).toEqual([200, 100, 0]);
  for (const partition of [0, 1]) fed.take([], from(partition, RETIRED_MS + DAY));
  fed.commit();
  expect(held(fed)).toEqual([0, 0, 0]);
});

test('a snapshot that is begun in the midst takes up no cells before it is over: what a restore finds of an hour is all of it', () => {
  const fed = aged(100);
  fed.commit();
  fed.stage.beginSnapshot();
  const commits = [];
  for (let done = false; !done; ) {
    done = fed.stage.snapshotSlice(1000);
    commits.push(fed.commit());
  }
  const rows = new Fed({ commits }).stage.takeHours(1e6)?.rows ?? [];
  expect(rows.map(({ spendMicros }) => spendMicros)).toEqual(new Array(100).fill(12));
});

test('cells that are kept cost little: many of them are looked at with one commit', () => {
  const fed = new Fed();
  for (const partition of [0, 1]) {
    fed.take([spend('old', 5)], from(partition));
    for (let slot = 0; slot < 4; slot++)
      fed.take(
        campaigns.map((id) => spend(id, 7, RETIRED_MS + slot * 15 * MINUTE)),
        from(partition, RETIRED_MS),
      );
  }
  fed.flushHours();
  let commits = 0;
  do {
    fed.commit();
    commits++;
  } while (fed.stage.state.isForgetting);
  expect(fed.stage.state.bySource.spend.size).toBe(8 * CAMPAIGNS);
  expect(commits).toBeLessThan(6);
});

test('no snapshot is begun in the midst: it would keep its turn from others', () => {
  const fed = aged(0);
  const may: boolean[] = [fed.stage.canSnapshot];
  for (let n = 0; n < COMMITS; n++) {
    fed.commit();
    may.push(fed.stage.canSnapshot);
  }
  expect([may[0], may[1], may[COMMITS]]).toEqual([true, false, true]);
});

test('what a restart brings back of the old is forgotten as soon as Postgres has it, not a day later', () => {
  const fed = aged(0);
  const before = held(fed)[0];
  const restored = new Fed({ commits: [fed.snapshot()] });
  expect(restored.stage.state.bySource.spend.size).toBe(before);
  for (let n = 0; n < COMMITS; n++) restored.commit();
  expect(restored.stage.state.bySource.spend.size).toBe(before);
  restored.stage.takeHours(1e6);
  restored.take([spend('new', 1, RETIRED_MS)], from(0, RETIRED_MS));
  restored.stage.hoursLanded(true);
  for (let n = 0; n < COMMITS; n++) restored.commit();
  expect(held(restored)).toEqual([1, 1, 1]);
});

test('what lives is written again within the rewrite time, also when it takes the places of what is dropped', () => {
  const fed = new Fed();
  fed.take(
    campaigns.slice(0, 2400).map((id) => spend(id, 5)),
    { watermarkMs: START },
  );
  const living = campaigns.slice(2400, 6000);
  fed.take(
    living.map((id) => spend(id, 5, RETIRED_MS)),
    { watermarkMs: START },
  );
  fed.flushHours();
  const lastMs = new Map<string, number>();
  let worstMs = 0;
  for (let nowMs = 0; nowMs <= 5 * MINUTE; nowMs += 250) {
    for (const key of fed.write(nowMs) ?? []) {
      worstMs = Math.max(worstMs, nowMs - (lastMs.get(key) ?? nowMs));
      lastMs.set(key, nowMs);
    }
    // In the midst of a round.
    if (nowMs === Math.floor((1.45 * pace.rewriteMs) / SECOND) * SECOND) {
      fed.take([], { watermarkMs: RETIRED_MS });
      fed.stage.takeCommit();
    }
  }
  expect(fed.stage.state.days.table.size).toBe(living.length);
  expect(worstMs).toBeLessThanOrEqual(pace.rewriteMs + SECOND);
});

import { expect, test } from 'vitest';
import type { PartialHeader } from '../../src/topology/partials.ts';
import { MINUTE, SECOND, START, Story } from './drive.ts';
import { readPartial } from './read-partial.ts';

/** The marks of impressions/0 so far, oldest first, as one partition of `.partials` got them. */
const marks = (story: Story, partition = 0): PartialHeader[] =>
  story
    .partials(partition)
    .flatMap(({ value }) => (value === null ? [] : [readPartial(value).header]))
    .filter(({ topic }) => topic === 'impressions');

const last = (story: Story): PartialHeader | undefined => marks(story).at(-1);

test('a partition is idle after a silent minute at its end, and speaks again with its next record', async () => {
  const story = new Story();
  await story.started();
  story.impression({ at: 0 });
  await story.pass(MINUTE - 2 * SECOND);
  expect(last(story)?.idle).toBe(false);
  await story.pass(4 * SECOND);
  expect(last(story)?.idle).toBe(true);
  story.impression({ at: 1 });
  await story.pass(SECOND);
  expect(last(story)?.idle).toBe(false);
});

test('a restart at the end of the log is no silence: its own minute passes first', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0 });
  await story.pass(2 * SECOND);
  process.kill();
  const before = marks(story).length;
  await story.started();
  await story.pass(MINUTE - 2 * SECOND);
  expect(
    new Set(
      marks(story)
        .slice(before)
        .map(({ idle }) => idle),
    ),
  ).toEqual(new Set([false]));
  await story.pass(4 * SECOND);
  expect(last(story)?.idle).toBe(true);
});

test('the oldest record of an emission is told once, however many partitions of `.partials` there are', async () => {
  const story = new Story({ partialsPartitions: 3 });
  await story.started();
  const told = (): (number | null)[] =>
    [0, 1, 2].flatMap((partition) => marks(story, partition).map(({ oldestRecordMs }) => oldestRecordMs));
  story.impression({ at: 0, kafkaAt: 5 });
  story.impression({ at: 0, kafkaAt: 3 });
  story.impression({ at: 0, kafkaAt: 9 });
  await story.pass(4 * SECOND);
  expect(told().filter((ms) => ms !== null)).toEqual([START + 3]);
  story.impression({ at: 0, kafkaAt: 7 });
  await story.pass(4 * SECOND);
  expect(
    told()
      .filter((ms) => ms !== null)
      .sort(),
  ).toEqual([START + 3, START + 7]);
});

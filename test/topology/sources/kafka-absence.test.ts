import { expect, test } from 'vitest';
import { StreamError } from '../../../src/errors.ts';
import { Absence } from '../../../src/topology/sources/kafka-absence.ts';
import { HandClock } from '../hand-clock.ts';

const unknownTopic = Object.assign(new Error('This server does not host this topic-partition'), { type: 'UNKNOWN_TOPIC_OR_PARTITION' });

const story = () => {
  const clock = new HandClock(1_700_000_000_000);
  return { clock, absence: new Absence(clock, 30_000) };
};

test('a topic is missing only when every attempt says so for half a minute', async () => {
  const { clock, absence } = story();
  expect(absence.fatal(unknownTopic)).toBeNull();
  await clock.pass(29_000);
  expect(absence.fatal(unknownTopic)).toBeNull();
  await clock.pass(1000);
  expect(absence.fatal(unknownTopic)?.code).toBe('topic_missing');
});

test.each([
  ['a success', (absence: Absence) => absence.over()],
  ['brokers that are away', (absence: Absence) => void absence.fatal(new Error('ECONNREFUSED'))],
])('%s between two attempts begins the half minute afresh', async (_name, between) => {
  const { clock, absence } = story();
  absence.fatal(unknownTopic);
  between(absence);
  await clock.pass(60_000);
  expect(absence.fatal(unknownTopic)).toBeNull();
});

test('what else cannot mend itself is fatal at once', () => {
  expect(story().absence.fatal(new StreamError('kafka_refused', 'no'))?.code).toBe('kafka_refused');
});

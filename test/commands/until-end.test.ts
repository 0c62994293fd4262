import { expect, test } from 'vitest';
import { countedUntilEnd, endAtStart } from '../../src/commands/until-end.ts';
import { summarise } from '../../src/summary.ts';
import { SECOND, Story } from '../topology/drive.ts';

test('everything that was there at the start is counted, through both stages and into the totals; what comes later may not be', async () => {
  const story = new Story({ partitions: 2 });
  for (let i = 0; i < 2500; i++) story.impression({ at: i, partition: i % 2, spend_micros: 2 });
  story.exposure({ at: 0 });
  const process = await story.started();
  const waiting = process.hold(/^poll impressions\/1 after/);
  let counted: boolean | null = null;
  const end = countedUntilEnd({
    pipeline: process.pipeline,
    clock: story.clock,
    stopping: new AbortController().signal,
    endOf: endAtStart,
  }).then((reached) => {
    counted = reached;
  });
  await story.pass(10 * SECOND);
  expect(counted).toBeNull();
  waiting();
  await story.pass(10 * SECOND);
  await end;
  expect(counted).toBe(true);
  const { spend, exposed, streams } = summarise(process.pipeline.ingestTasks, process.pipeline.evaluateTasks);
  expect(spend).toEqual({ c: { '2026-03-02': { spend_micros: 5000, impressions: 2500 } } });
  expect(exposed).toEqual({ e: { units: { a: 1 }, contaminated: 0 } });
  expect(streams.impressions.records).toEqual({ accepted: 2500, duplicate: 0, late: 0, invalid: 0 });
  expect(
    story.totals
      .rows()
      .map(({ entityId }) => entityId)
      .sort(),
  ).toEqual(['c', 'e']);
});

test('a stop before the end says that it was not reached', async () => {
  const story = new Story();
  story.impression({ at: 0 });
  const process = await story.started();
  process.hold(/^append ingest:impressions/);
  const stopping = new AbortController();
  const end = countedUntilEnd({ pipeline: process.pipeline, clock: story.clock, stopping: stopping.signal, endOf: endAtStart });
  await story.pass(5 * SECOND);
  stopping.abort();
  await story.pass(SECOND);
  expect(await end).toBe(false);
});

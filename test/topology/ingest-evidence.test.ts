/** What a stream may differ from the truth by is in what is sent and in what a restore reads, also when it is too little for a block. */
import { expect, test } from 'vitest';
import type { Stream } from '../../src/topology/types.ts';
import { MINUTE, SECOND, START, Story, type StoryProcess } from './drive.ts';
import { type ReadCell, readPartial } from './read-partial.ts';

const CLOSES = MINUTE + 15 * MINUTE + 30 * SECOND;

type EvidenceName = 'spendEvidence' | 'exposureEvidence';

/** The cells that were sent last, by group and hour after the story's. */
function sentOf(story: Story, name: EvidenceName): Record<string, number[]> {
  const cells = story.partials().flatMap(({ value }) => (value === null ? [] : readPartial(value).cells));
  const evidence = cells.filter((cell) => cell.name === name);
  return Object.fromEntries(evidence.map((cell) => [nameOf(cell), cell.values]));
}

/** Those of the state. */
function keptBy(process: StoryProcess, topic: Stream, name: EvidenceName): Record<string, number[]> {
  const { stage } = process.ingest(topic);
  if (stage === null) throw new Error(`${topic} has no state`);
  const { groups, cells } = stage.state;
  const table = cells[name];
  const listed = Array.from({ length: table.size }, (_, index) => {
    const values = Array.from({ length: table.columns }, (_, column) => table.get(index, column));
    return [nameOf({ ...groups.nameOf(table.groupOf(index)), time: table.timeOf(index) }), values];
  });
  return Object.fromEntries(listed);
}

const nameOf = ({ entity, version, variant, time }: Pick<ReadCell, 'entity' | 'version' | 'variant' | 'time'>): string =>
  [entity, version, variant, time - Math.floor(START / (60 * MINUTE))].join('|');

/** Has been sent, is in the state, and in that of the next process. */
async function expectEverywhere(story: Story, process: StoryProcess, topic: Stream, expected: Record<string, number[]>): Promise<void> {
  const name = topic === 'impressions' ? 'spendEvidence' : 'exposureEvidence';
  await story.pass(2 * SECOND);
  expect(sentOf(story, name)).toEqual(expected);
  expect(keptBy(process, topic, name)).toEqual(expected);
  process.kill();
  expect(keptBy(await story.started(), topic, name)).toEqual(expected);
}

test('late, duplicate, suspected and invalid-traffic impressions and their money are sent, committed and restored', async () => {
  const story = new Story();
  const process = await story.started();
  const shown = { at: 0, user_id: 'u', surface: 's' };
  story.impression({ ...shown, event_id: 'x', spend_micros: 50 });
  story.impression({ ...shown, event_id: 'x', spend_micros: 70 });
  story.impression({ ...shown, event_id: 'x', spend_micros: 90 });
  for (let copy = 0; copy < 3; copy++) story.impression({ ...shown, at: copy, spend_micros: 50 });
  for (let bot = 0; bot < 4; bot++) story.impression({ at: bot, spend_micros: 1000 + bot, is_valid: false });
  story.impression({ at: 0, campaign_id: 'other', spend_micros: 7, is_valid: false });
  story.impression({ at: 70 * MINUTE, spend_micros: 8, is_valid: false });
  story.impression({ at: 70 * MINUTE + CLOSES });
  story.impression({ at: 0, spend_micros: 3 });
  await expectEverywhere(story, process, 'impressions', {
    'c|0||0': [1, 3, 2, 160, 3, 150, 4, 4006],
    'other|0||0': [0, 0, 0, 0, 0, 0, 1, 7],
    'c|0||1': [0, 0, 0, 0, 0, 0, 1, 8],
  });
});

test('late and duplicate exposures are, by version and variant', async () => {
  const story = new Story();
  const process = await story.started();
  story.exposure({ at: 0, event_id: 'x', allocation_version: 2 });
  for (let copy = 0; copy < 3; copy++) story.exposure({ at: 0, event_id: 'x', allocation_version: 2 });
  story.exposure({ at: CLOSES, event_id: 'y', variant_id: 'b' });
  story.exposure({ at: CLOSES, event_id: 'y', variant_id: 'b' });
  for (let late = 0; late < 2; late++) story.exposure({ at: late, allocation_version: 2 });
  await expectEverywhere(story, process, 'exposures', { 'e|2|a|0': [2, 3, 0], 'e|1|b|0': [0, 1, 0] });
});

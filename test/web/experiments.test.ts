import { expect, test } from 'vitest';
import { shownExperiments } from '../../src/web/experiments.ts';
import { SECOND, Story } from '../topology/drive.ts';

test('experiments that nobody registered are named, those with most units first', async () => {
  const story = new Story();
  const process = await story.started();
  for (let i = 0; i < 5; i++)
    story.exposure({ at: i * SECOND, event_id: `a${i}`, unit_id: `u${i}`, experiment_id: 'unknown', variant_id: 'a' });
  story.exposure({ at: 0, event_id: 'b', unit_id: 'u', experiment_id: 'rare', variant_id: 'a' });
  await story.pass(3 * SECOND);
  const { experiments, unregistered } = shownExperiments(process.pipeline);
  expect(experiments).toBe(2);
  expect(unregistered).toEqual([
    { experiment_id: 'unknown', units: 5 },
    { experiment_id: 'rare', units: 1 },
  ]);
});

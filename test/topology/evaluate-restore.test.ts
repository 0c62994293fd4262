import { expect, test } from 'vitest';
import { START } from './drive.ts';
import { Fed, spend } from './fed.ts';

const CAMPAIGNS = 300;
const SLOTS = 90;
const QUARTER_MS = 900_000;

test('a commit of many cells is applied in steps, and the state is whole and in place after the last', () => {
  const before = new Fed();
  const campaigns = Array.from({ length: CAMPAIGNS }, (_, i) => `c${i}`);
  for (let slot = 0; slot < SLOTS; slot++) before.take(campaigns.map((id, i) => spend(id, 1 + i + slot, START + slot * QUARTER_MS)));
  const shown = before.shown();
  const commit = before.snapshot();
  const { stage } = new Fed();
  const { position } = stage;
  let steps = 0;
  let cells = 0;
  for (const _ of stage.restore(commit)) {
    const { size } = stage.state.bySource.spend;
    expect(size - cells).toBeLessThan(10_000);
    expect(stage.position).toBe(position);
    cells = size;
    steps++;
  }
  expect(steps).toBeGreaterThanOrEqual(3);
  expect(stage.state.bySource.spend.size).toBe(CAMPAIGNS * SLOTS);
  expect(stage.position).toBe(commit.to);
  expect(new Fed({ commits: [commit] }).shown()).toEqual(shown);
});

test('a commit of many new names is applied in steps', () => {
  const before = new Fed();
  for (let part = 0; part < 20; part++) before.take(Array.from({ length: 1000 }, (_, i) => spend(`c${part * 1000 + i}`, 1)));
  const { stage } = new Fed();
  let steps = 0;
  let groups = 0;
  for (const _ of stage.restore(before.commit())) {
    expect(stage.state.groups.length - groups).toBeLessThan(10_000);
    groups = stage.state.groups.length;
    steps++;
  }
  expect(steps).toBeGreaterThanOrEqual(4);
  expect(stage.state.groups.length).toBe(20_000);
});

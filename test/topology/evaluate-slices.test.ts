import { describe, expect, test } from 'vitest';
import { PartialBody, writeGroupName } from '../../src/topology/partial-body.ts';
import { CELLS } from '../../src/topology/partials.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';
import { PARTIALS, SECOND, START, Story } from './drive.ts';
import { Fed, limits } from './fed.ts';

/** A record of impressions/0 with so many campaigns' spend, one micro each. */
function record(position: number, campaigns: number, first = 0): Uint8Array {
  const body = new PartialBody();
  for (let i = 0; i < campaigns; i++) {
    const out = body.cell(CELLS.spend.kind, i, (_, to) => writeGroupName({ entity: `c${first + i}`, version: 0, variant: '' }, to));
    for (const value of [Math.floor(START / 900_000), position, 1]) out.varint(value);
  }
  return body.take({
    topic: 'impressions',
    partition: 0,
    stream: 'impressions',
    partitions: 1,
    origin: 0,
    position,
    watermarkMs: START,
    idle: false,
    endAgeMs: null,
    lastRecordMs: null,
    oldestRecordMs: null,
    claim: 1,
    emission: position,
    part: 0,
    parts: 1,
  });
}

describe('a batch that is more than should be done in one go', () => {
  test('is taken in several; its position counts when all of it is in', () => {
    const fed = new Fed();
    const records = Array.from({ length: 5 }, (_, i) => ({ offset: i, timestampMs: START, key: null, value: record(i + 1, 9000) }));
    const batch = new ListedBatch({ topic: PARTIALS, partition: 0, nextOffset: 5, endOffset: 5, byteLength: 0 }, records);
    const seen: [spent: number, position: number, unfinished: boolean][] = [];
    do {
      fed.stage.process(batch);
      const { spend } = fed.stage.state.totals;
      seen.push([spend.get(0, 0), fed.stage.position, fed.stage.unfinished]);
    } while (fed.stage.unfinished);
    expect(seen).toEqual([
      [2, 0, true],
      [4, 0, true],
      [5, 5, false],
    ]);
  });

  test('is taken to its end by the task, and committed whole', async () => {
    const story = new Story();
    for (let i = 1; i <= 5; i++) story.broker.append(PARTIALS, 0, { key: null, value: record(i, 9000), timestampMs: START });
    const process = await story.started();
    await story.pass(3 * SECOND);
    const [task] = process.pipeline.evaluateTasks;
    const { stage } = task;
    expect(task.committed).toBeGreaterThanOrEqual(5);
    expect([stage?.state.totals.spend.size, stage?.state.totals.spend.get(8999, 0)]).toEqual([9000, 5]);
  });
});

describe('groups of cells', () => {
  test('that a record does not name are refused: it is no partial', () => {
    const body = new PartialBody();
    const out = body.cell(CELLS.segmentUnits.kind, 0, (_, to) => writeGroupName({ entity: 'e', version: 1, variant: 'a' }, to));
    for (const value of [9, 1]) out.varint(value); // the segment is the tenth group of one
    const mark = { topic: 'exposures', partition: 0, stream: 'exposures', partitions: 1, origin: 0, position: 1 } as const;
    const times = { watermarkMs: null, idle: false, endAgeMs: null, lastRecordMs: null, oldestRecordMs: null };
    const value = body.take({ ...mark, ...times, claim: 1, emission: 1, part: 0, parts: 1 });
    expect(() => new Fed().raw(value)).toThrow(expect.objectContaining({ code: 'partial_format' }));
  });

  test('are bounded: more stop the task by name', () => {
    const before = limits.maxIds;
    try {
      limits.maxIds = 100;
      const fed = new Fed();
      fed.raw(record(1, 100));
      expect(() => fed.raw(record(2, 1, 100))).toThrow(expect.objectContaining({ code: 'too_many_ids' }));
    } finally {
      limits.maxIds = before;
    }
  });
});

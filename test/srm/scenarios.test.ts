import { expect, it } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { Decoder } from '../../src/operators/decode.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import { EVALUATE_PARTS } from '../../src/topology/evaluate-parts.ts';
import { IngestStage } from '../../src/topology/ingest.ts';
import { unpacked } from '../../src/topology/packed-records.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';
import { judge, type Logged, logged, SCENARIOS, type Scenario } from '../e2e/srm/scenarios.ts';
import { PARTIALS, START } from '../topology/drive.ts';
import { at, heardAt } from '../topology/fed.ts';
import { registryOf } from './watched.ts';

const settings = loadSettings({}, () => '');
const utf8 = new TextEncoder();

/** Both stages over one partition of each topic, in this process, an emission a chunk. */
class Line {
  readonly #ingest = new Map<string, IngestStage>();
  readonly evaluate: EvaluateStage;
  #offset = 0;

  constructor(scenarios: readonly Scenario[]) {
    const { time, pace, pacing, limits, srm } = settings;
    const outputs = { partials: PARTIALS, duplicates: 'd', late: 'l', invalid: 'i', violations: 'v', unique: null };
    for (const stream of ['exposures', 'assignments'] as const) {
      const decoder = new Decoder(stream, { mapping: {}, maxSpendMicros: 1e12, maxFutureSkewMs: 3e5 });
      const place = { stream, topic: stream, partition: 0, partitions: 1, partialsPartitions: 1 };
      const hash = new SeededHash(new Uint8Array(8));
      const stage = new IngestStage({ ...place, decoder, hash, budget: new MemoryBudget(), time, pace, limits, srm, outputs });
      stage.begin(0);
      stage.owned(1, at(0));
      this.#ingest.set(stream, stage);
    }
    this.evaluate = new EvaluateStage({
      topic: PARTIALS,
      partition: 0,
      partialsPartitions: 1,
      pace,
      pacing,
      limits,
      srm,
      parts: EVALUATE_PARTS,
    });
    this.evaluate.register(registryOf(scenarios.map(({ id, versions, hash }) => ({ id, versions, more: { hash } }))));
    this.evaluate.begin(0);
    this.evaluate.owned();
  }

  send(records: readonly Logged[], nowMs: number): void {
    for (const [stream, stage] of this.#ingest) {
      const mine = records.filter((record) => record.stream === stream);
      const first = stage.position;
      const listed = mine.map(({ unitId, event }, i) => ({
        offset: first + i,
        timestampMs: event['event_ts'] as number,
        key: utf8.encode(unitId),
        value: utf8.encode(JSON.stringify(event)),
      }));
      const end = first + mine.length;
      stage.process(new ListedBatch({ topic: stream, partition: 0, nextOffset: end, endOffset: end, byteLength: 0 }, listed), at(nowMs));
      for (const { topic, value } of unpacked(stage.emit(at(nowMs), heardAt(nowMs), true) ?? [])) if (topic === PARTIALS) this.#take(value);
      stage.takeCommit();
    }
    this.evaluate.emit(at(nowMs), heardAt(nowMs), true);
  }

  #take(value: Uint8Array | null): void {
    const offset = this.#offset++;
    const place = { topic: PARTIALS, partition: 0, nextOffset: offset + 1, endOffset: offset + 1, byteLength: 0 };
    this.evaluate.process(new ListedBatch(place, [{ offset, timestampMs: START + offset, key: null, value }]));
  }
}

it.each(
  SCENARIOS.map((scenario) => [scenario.title, scenario] as const),
)('%s: alerted about, with the right stage, culprit and cause', (_title, scenario) => {
  const line = new Line([scenario]);
  let nowMs = 0;
  for (const records of logged([scenario], { seed: 7, startMs: START, chunks: 200 })) {
    nowMs += 200;
    line.send(records, nowMs);
  }
  const told = [...line.evaluate.state.alerts.open()];
  const { isRight, ...seen } = judge(scenario, told);
  const { verdict } = scenario;
  if (process.env.SHOW)
    console.log(
      scenario.id,
      seen,
      told.map(({ kind, facts }) => [kind, JSON.stringify(facts)]),
    );
  expect({ ...seen, onset: isRight ? verdict.onset : seen.onset }).toMatchObject({
    stage: verdict.stage,
    culprit: verdict.culprit,
    cause: verdict.cause,
    onset: verdict.onset,
  });
  if (process.env.SHOW)
    console.log(
      scenario.id,
      seen,
      told.map(({ kind, facts }) => [kind, JSON.stringify(facts)]),
    );
});

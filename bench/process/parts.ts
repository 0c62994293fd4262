/** Single parts of the path, without a broker. */
import { loadSettings } from '../../src/config.ts';
import { RedisCounters } from '../../src/sinks/redis-counters.ts';
import { StaticRegistry } from '../../src/sinks/registry.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import { PartialBody, writeGroupName } from '../../src/topology/partial-body.ts';
import { CELLS, type Mark } from '../../src/topology/partials.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';
import { DAY, Meter } from '../figures.ts';
import { campaignName, impression } from './impressions.ts';

const TEXTS = 20_000;
const CAMPAIGNS = 100_000;
const CELLS_A_RECORD = 10_000;
const ROUNDS = 20;
const SECONDS = 2;

/** CPU seconds to parse a million values and do nothing with them. */
export function jsonRate(): number {
  const values = Array.from({ length: TEXTS }, (_, n) => Buffer.from(impression(n, { campaigns: 1000 }, 20_000 * DAY)));
  let seen = 0;
  let parsed = 0;
  const round = (): void => {
    for (const value of values) parsed += (JSON.parse(value.toString()) as { spend_micros: number }).spend_micros > 0 ? 1 : 0;
  };
  round();
  const before = process.cpuUsage();
  let cpuSeconds = 0;
  while (cpuSeconds < SECONDS) {
    round();
    seen += TEXTS;
    const { user, system } = process.cpuUsage(before);
    cpuSeconds = (user + system) / 1e6;
  }
  if (parsed !== seen + TEXTS) throw new Error('not all values were parsed');
  return (cpuSeconds / seen) * 1e6;
}

/** Cells that evaluate merges in a CPU second: every campaign's grows in each round, as packed records. */
export async function evaluateRate(): Promise<number> {
  const { pace, pacing, limits, srm } = loadSettings({}, () => '');
  const stage = new EvaluateStage({ topic: 'partials', partition: 0, partialsPartitions: 1, pace, pacing, limits, srm, parts: [] });
  stage.register(await new StaticRegistry().load());
  stage.begin(0);
  stage.owned();
  const meter = new Meter();
  // Made before, for the meter also counts what happens between two blocks.
  const batches = Array.from({ length: ROUNDS }, (_, round) => recordsOf(round));
  let cells = 0;
  for (const [round, batch] of batches.entries()) {
    const all = (): void => {
      do stage.process(batch);
      while (stage.unfinished);
    };
    if (round === 0) all();
    else meter.run(all);
    cells += round === 0 ? 0 : CAMPAIGNS;
  }
  return (cells / meter.cpuMs) * 1000;
}

function recordsOf(round: number): ListedBatch {
  const parts = CAMPAIGNS / CELLS_A_RECORD;
  const mark: Mark = {
    topic: 'impressions',
    partition: 0,
    stream: 'impressions',
    partitions: 1,
    origin: 0,
    position: (round + 1) * CAMPAIGNS,
    watermarkMs: 20_000 * DAY,
    idle: false,
    endAgeMs: null,
    lastRecordMs: 20_000 * DAY,
    oldestRecordMs: null,
    claim: 1,
    emission: round,
  };
  const records = Array.from({ length: parts }, (_, part) => {
    const body = new PartialBody();
    for (let i = 0; i < CELLS_A_RECORD; i++) {
      const campaign = part * CELLS_A_RECORD + i;
      const name = { entity: campaignName(campaign), version: 0, variant: '' };
      const out = body.cell(CELLS.spend.kind, i, (_id, to) => writeGroupName(name, to));
      for (const value of [(20_000 * DAY) / 900_000, (round + 1) * 1000 + campaign, round + 1]) out.varint(value);
    }
    return { offset: round * parts + part, timestampMs: 1, key: null, value: body.take({ ...mark, part, parts }) };
  });
  const nextOffset = (round + 1) * parts;
  return new ListedBatch({ topic: 'partials', partition: 0, nextOffset, endOffset: nextOffset, byteLength: 0 }, records);
}

/** Keys a second, compared and set with three values each, by the clock: from a list of writes until all are acknowledged. */
export async function redisRate(url: string): Promise<number> {
  const nothing = (): void => undefined;
  const counters = new RedisCounters({
    url,
    keyPrefix: 'bench:',
    clock: new SystemClock(),
    log: { info: nothing, warn: nothing } as never,
  });
  const writes = (round: number) =>
    Array.from({ length: CAMPAIGNS }, (_, i) => ({
      key: `spend:{${campaignName(i)}}:2026-01-01`,
      fields: { spend_micros: String(round * 1000 + i), impressions: String(round), watermark_ms: '0' },
      expiryMs: DAY,
    }));
  await counters.write({ partition: 0, epoch: 1, version: 1 }, writes(1));
  const rounds = 5;
  let writingMs = 0;
  for (let round = 2; round < 2 + rounds; round++) {
    const changed = writes(round);
    const startedMs = performance.now();
    const { refused } = await counters.write({ partition: 0, epoch: 1, version: round }, changed);
    writingMs += performance.now() - startedMs;
    if (refused.length > 0) throw new Error(`${refused.length} writes were refused`);
  }
  await counters.close();
  return (rounds * CAMPAIGNS * 1000) / writingMs;
}

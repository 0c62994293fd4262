import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { generateTraffic, writeNdjson } from '../../src/generate/index.ts';
import { Bed } from '../e2e/bed.ts';
import { differences, expectedOf } from '../e2e/truth.ts';
import { describeIntegration } from '../services/integration.ts';

const TRAFFIC = {
  seed: 11,
  impressions: 14_000,
  exposures: 5000,
  assignments: 1000,
  partitions: 4,
  oddIdShare: 0.2,
  contaminatedShare: 0.05,
};

interface Printed {
  spend: Record<string, Record<string, { spend_micros: number; impressions: number }>>;
  exposed: Record<string, { units: Record<string, number>; contaminated: number }>;
}

/** Without rates and times, and what is left as the bytes that were printed. */
const withoutTiming = (line: string): string => line.replace(/,"timing":\{[^}]*\}/, '');

describeIntegration('the same records in a file and in Kafka', (services) => {
  let bed: Bed;
  let file: string;
  let first: string;

  beforeAll(async () => {
    bed = await Bed.open(services, { partitions: TRAFFIC.partitions });
    file = join(bed.keeper.folder, 'traffic.ndjson');
    const out = createWriteStream(file);
    await writeNdjson(generateTraffic(TRAFFIC), out);
    out.end();
    await finished(out);
    await (await bed.producer()).send([...generateTraffic(TRAFFIC)], 'lz4');
  });
  afterAll(() => bed.close());

  it('are the same summary byte for byte, twice by replay and once by run --until-end; and it is the truth', async () => {
    // Topics by their plain names, as the file has them.
    const replay = () => bed.command(['replay', file, '--json'], { CONFIG_FILE: '' });
    first = await replay();
    const [second, kafka] = [await replay(), await bed.command(['run', '--until-end', '--json'])];
    expect(first).toMatch(/^\{.*,"timing":\{"seconds":[\d.]+,"records_per_second":\d+\}\}\n$/);
    expect(withoutTiming(second)).toBe(withoutTiming(first));
    expect(withoutTiming(kafka)).toBe(withoutTiming(first));
    const { amounts, disagreements } = expectedOf(TRAFFIC);
    expect([...disagreements, ...differences('summary', amountsOf(JSON.parse(first) as Printed), amounts)]).toEqual([]);
  });

  it('are counted already for the next run --until-end, which prints the same and ends at once', async () => {
    const again = await bed.command(['run', '--until-end', '--json']);
    expect(withoutTiming(again)).toBe(withoutTiming(first));
  });
});

function amountsOf({ spend, exposed }: Printed): Map<string, number> {
  const amounts = new Map<string, number>();
  for (const [campaign, days] of Object.entries(spend)) {
    for (const [day, cell] of Object.entries(days)) {
      for (const [field, amount] of Object.entries(cell)) amounts.set(`spend:{${campaign}}:${day}\n${field}`, amount);
    }
  }
  for (const [experiment, { units, contaminated }] of Object.entries(exposed)) {
    amounts.set(`exposed:{${experiment}}\ncontaminated`, contaminated);
    for (const [variant, count] of Object.entries(units)) amounts.set(`exposed:{${experiment}}\nunits:${variant}`, count);
  }
  return amounts;
}

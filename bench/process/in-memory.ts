/**
 * Ingest by stage without a broker: `node --expose-gc bench/process/in-memory.ts [--keys N] [--records N] [--campaigns N] [--stream exposures] [--profile]`.
 * Short, and steadier than the whole process: what a change is worth is seen here first.
 */
import { parseArgs } from 'node:util';
import { STREAMS } from '../../src/topology/types.ts';
import { figure, print, printMachine } from '../figures.ts';
import { measureStages } from './stages.ts';

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '0' },
    records: { type: 'string', default: '2000000' },
    campaigns: { type: 'string', default: '1000' },
    stream: { type: 'string', default: 'impressions' },
    profile: { type: 'boolean', default: false },
  },
});
const number = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`a whole number is expected, not ${text}`);
  return value;
};

const stream = STREAMS.find((name) => name === values.stream);
if (stream === undefined) throw new Error(`a stream is one of ${STREAMS.join(', ')}`);

printMachine();
const { expenses, longestMs, cpu, ...laps } = await measureStages({
  stream,
  records: number(values.records),
  campaigns: number(values.campaigns),
  keys: number(values.keys),
  profile: values.profile,
});
for (const [stage, seconds] of Object.entries(laps)) figure(stage, seconds * 1000, 'ns');
figure('CPU a record', cpu * 1000, 'ns');
figure('longest record set', longestMs, 'ms');
for (const { name, share } of expenses.slice(0, 25)) print(`    ${(100 * share).toFixed(1).padStart(5)} %  ${name}`);

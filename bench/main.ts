/**
 * What the whole process costs, on a real Kafka: `npm run bench -- [--only NAME] [--records N] [--profile]`. Data is seeded, results
 * are held against the truth before a figure is printed, and each scenario's go to its section of bench/RESULTS.md. With
 * `--profile` each names the ten most expensive functions.
 */
import { parseArgs } from 'node:util';
import { startServices } from '../test/services/index.ts';
import { print } from './figures.ts';
import { makeRoom } from './process/bed.ts';
import { Report } from './process/report.ts';
import { SCENARIOS } from './process/scenarios.ts';

const LEAST_RECORDS = 100_000;

const { values } = parseArgs({
  options: {
    /** Scenarios whose name contains this. */
    only: { type: 'string', default: '' },
    records: { type: 'string', default: '6000000' },
    profile: { type: 'boolean', default: false },
  },
});
const records = Number(values.records);
if (!Number.isSafeInteger(records) || records < LEAST_RECORDS) {
  throw new Error(`--records ${values.records}: a whole number from ${LEAST_RECORDS} is expected`);
}

const pinned = makeRoom();
const services = await startServices({ kafka: true, redis: true });
const report = new Report(pinned);
const names = Object.keys(SCENARIOS);
try {
  for (const name of names.filter((one) => one.includes(values.only))) {
    print(`\n${name}`);
    await SCENARIOS[name]({ services, records, profile: values.profile, report, name });
    report.write(name, names);
  }
} finally {
  await services.stop();
}

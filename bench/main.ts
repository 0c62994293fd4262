/**
 * What the whole process costs, on a real Kafka: `npm run bench -- [--only NAME] [--records N] [--profile] [--quick]`. Data is
 * seeded, results are held against the truth before a figure is printed, and all of it goes to bench/RESULTS.md.
 */
import { parseArgs } from 'node:util';
import { startServices } from '../test/services/index.ts';
import { print } from './figures.ts';
import { makeRoom } from './process/bed.ts';
import { Report } from './process/report.ts';
import { SCENARIOS } from './process/scenarios.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    records: { type: 'string', default: '4000000' },
    profile: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const records = Number(values.records);
if (!Number.isSafeInteger(records) || records < 100_000)
  throw new Error(`--records ${values.records}: a whole number from 100000 is expected`);

const pinned = makeRoom();
const services = await startServices({ kafka: true, redis: true });
const report = new Report(pinned);
try {
  for (const [name, scenario] of Object.entries(SCENARIOS).filter(([name]) => name.includes(values.only))) {
    print(`\n${name}`);
    await scenario({ services, records, profile: values.profile, report, name });
  }
} finally {
  await services.stop();
}
if (values.only === '' || values.keep) await report.write();

/**
 * `npm run example:reconcile`: a laptop-sized example of the hourly judge, on real services started for it. Traffic is counted, billing
 * books what it has, six faults are seeded, and then `reconcile` is run as cron would run it: look, repair, look again.
 */
import { FaultStory } from '../test/e2e/reconcile-faults.ts';
import { startServices } from '../test/services/index.ts';

const say = (text: string): void => console.log(text);
const HOURS = 20;
const traffic = {
  seed: 8,
  impressions: Number(process.argv[2] ?? 60_000),
  exposures: 6000,
  assignments: 1000,
  partitions: 4,
  campaigns: 120,
  hotKeySkew: 0.5,
  idlePartitions: 0,
  spanMs: HOURS * 3_600_000,
};

const services = await startServices();
const began = performance.now();
const story = await FaultStory.begin(services, { traffic, say });
try {
  say(`counted after ${((performance.now() - began) / 1000).toFixed(0)} s. Now billing books, with faults on either side:`);
  await story.seed();
  const id = (fault: Parameters<typeof story.campaigns.get>[0]): string => story.campaigns.get(fault) ?? '';
  say(`  everywhere   about 1 % of the impressions came too late for the stream; billing has them`);
  say(`  ${id('duplicate_suspected')}    another program has written six of its hours into .partials, doubled`);
  say(`  ${id('loss_suspected')}    a quarter more impressions that never reached Kafka`);
  say(`  ${id('invalid_traffic')}    billing takes a fifth back as invalid traffic`);
  say(`  ${id('timezone')}    billing has put its hours three hours too late`);
  say(`  ${id('late_bookings')}    billing is behind: a quarter is not booked yet`);
  const show = async (title: string, ...args: string[]): Promise<void> => {
    const { code, out } = await story.reconcile(...args);
    say(`\n$ exposure-stream reconcile${args.map((arg) => ` ${arg}`).join('')}      # ${title}\n${out}# exit code ${code}`);
  };
  await show('only look', '--dry-run');
  await show('repair');
  await show('again: nothing differs any more');
  await story.bookTheRest();
  say(`\n(billing has booked the rest of ${id('late_bookings')})`);
  await show('an hour later');
  await show('and again');
  say(`\nhours that the views show otherwise than billing has them: ${(await story.wrongHours()).length}`);
} finally {
  await story.close();
  await services.stop();
}

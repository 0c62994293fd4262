/** The command line: names, options and help; each command's work is in its own file, loaded when it is called. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { addGenerateOptions } from './generate-options.ts';
import type { Host } from './host.ts';
import { versionOf } from './version.ts';

const wholeNumber = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number of at least 1');
  return value;
};

/** @param exit told the exit code of the command that ran */
export function makeProgram(host: Host, exit: (code: number) => void): Command {
  const program = new Command('exposure-stream')
    .description('Exactly counted experiment exposures and ad spend: Kafka in, Redis counters out.')
    .version(versionOf())
    .configureOutput({ writeOut: (text) => host.out.write(text), writeErr: (text) => host.err.write(text) })
    .showHelpAfterError('(--help shows the options)')
    .exitOverride();

  const command = (name: string, says: string): Command =>
    program
      .command(name)
      .description(says)
      .option('--config <file>', 'YAML file with streams, times and limits (CONFIG_FILE)')
      .option('--json', 'one JSON object a line on standard output')
      .exitOverride();

  command('run', 'count: both stages on Kafka, Redis and Postgres, until SIGTERM')
    .addOption(new Option('--stage <stage>', 'only this stage').choices(['ingest', 'evaluate']))
    .option('--until-end', 'stop when everything there at the start is counted, and print the summary')
    .option('--accept-state-loss', 'go on at the first retained offset when state or log is lost; no counter goes down')
    .action(async (options) => exit(await (await import('./run.ts')).run(host, options)));

  command('replay', 'count a file: the same topology without services')
    .argument('<file>', 'NDJSON, a record a line (`generate`, `kcat -J`)')
    .option('--partitions <n>', 'partitions of each topic, where a line names none', wholeNumber, 8)
    .option('--out <folder>', 'write side outputs there, a file a topic')
    .action(async (file, options) => exit(await (await import('./replay.ts')).replay(host, file, options)));

  command('demo', 'see it work: seeded traffic, both stages, the truth beside it; needs no service')
    .option('--records <n>', 'impressions; exposures and assignments in proportion', wholeNumber)
    .option('--seed <n>', 'same seed, same traffic', wholeNumber, 1)
    .action(async (options) => exit(await (await import('./demo.ts')).demo(host, options)));

  command('migrate', 'bring Postgres (and with --topics, Kafka) to what this version needs; changes nothing twice')
    .option('--topics', 'also create the topics that are missing')
    .option('--partitions <n>', 'partitions of topics that are created', wholeNumber, 8)
    .option(
      '--new-epoch',
      'after `.partials` was recreated: versions begin anew (repartitioned: take a new GROUP_ID and an empty state too)',
    )
    .option('--confirm', 'with --new-epoch: yes, all processes are stopped')
    .action(async (options) => exit(await (await import('./migrate.ts')).migrateCommand(host, options)));

  command('gate', 'what the bidder would be told of a campaign now, and why')
    .argument('<campaign>', 'campaign_id')
    .action(async (campaign, options) => exit(await (await import('./gate.ts')).gateCommand(host, campaign, options)));

  command('curve', 'learn the curves of campaigns that pace by prediction; daily, by cron').action(async (options) =>
    exit(await (await import('./curve.ts')).curveCommand(host, options)),
  );

  command('doctor', 'check every connection, topic, key and setting, and say what to do').action(async (options) =>
    exit(await (await import('./doctor.ts')).doctor(host, options)),
  );

  command('reconcile', 'hourly: compare the stream with Postgres, repair what differs, say why (exit 3: drift in a dry run, 4: held)')
    .option('--until <time>', 'hours before this time (default: this hour)')
    .option('--dry-run', 'only look; exit 3 when anything differs')
    .option('--approve <run>', 'apply a run that was held')
    .option('--reject <run>', 'a run that was held is never applied')
    .option('--from <day>', 'a backfill: from this day or hour (UTC) on')
    .option('--to <day>', '… up to this day, itself included')
    .option('--confirm', 'yes, also more than 30 days')
    .action(async (options) => exit(await (await import('./reconcile.ts')).reconcileCommand(host, options)));

  addGenerateOptions(command('generate', 'seeded synthetic traffic with known truth, to a file or to Kafka')).action(async (options) =>
    exit(await (await import('./generate.ts')).generateCommand(host, options)),
  );

  command('srm', 'is this split as it should be? From counts, from a file of looks, or of a running experiment')
    .option('--counts <list>', 'units of each arm: 821588,815482')
    .option('--shares <list>', 'what each arm should get: .5,.5')
    .option('--ratio <ratio>', 'the same as a ratio: 1:1')
    .option('--looks <file>', 'NDJSON, a look a line: {"experiment_id","allocation_version"?,"shares","counts"}')
    .option('--experiment <id>', 'a running one: what evaluate knows of it')
    .option('--alpha <p>', 'chance that a healthy split is ever called broken', '.001')
    .action(async (options) => exit(await (await import('./srm.ts')).srmCommand(host, options)));

  command('ack', 'acknowledge an alert: it ends, and is raised again only when it has been away')
    .argument('<alert>', 'its id, as every message about it has it')
    .requiredOption('--note <text>', 'who has taken it, and what was found; kept with the alert')
    .action(async (alert, options) => exit(await (await import('./ack.ts')).ack(host, alert, options)));

  command('config', 'settings: print an example, or what is in force')
    .option('--example', 'a YAML file with every setting and its default')
    .action(async (options) => exit((await import('./config.ts')).configCommand(host, options)));
  return program;
}

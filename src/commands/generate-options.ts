/** What `generate` is asked for: options made from the table of traffic settings, and what must not be asked together. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Settings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { TRAFFIC_SETTINGS, type TrafficSettings } from '../generate/settings.ts';
import type { CommonOptions } from './host.ts';

const DEFAULT_RATE = 1000;

export interface GenerateOptions extends CommonOptions, Partial<TrafficSettings> {
  out?: string;
  kafka?: boolean;
  truth?: string;
  /** Records a second. */
  rate?: number;
  forever?: boolean;
}

export function addGenerateOptions(command: Command): Command {
  command
    .option('--out <file>', 'NDJSON file; the truth goes to <file>.truth.json')
    .option('--kafka', 'produce to the configured input topics instead, which must exist')
    .option('--truth <file>', 'write the truth there')
    .option('--rate <n>', 'with --kafka: records a second, of all topics together', numberOf)
    .option('--forever', `with --kafka: live traffic, event time is now, until stopped (--rate: ${DEFAULT_RATE})`);
  for (const [name, { default: initial, says }] of Object.entries(TRAFFIC_SETTINGS)) {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    command.addOption(new Option(`--${flag} <n>`, `${says} (default: ${defaultText(name, initial)})`).argParser(numberOf));
  }
  return command;
}

const defaultText = (name: string, initial: number): string => {
  if (name === 'baseMs') return `${initial}; with --kafka now − spanMs`;
  if (name === 'seed') return `${initial}; with --forever the second of its start`;
  if (name === 'partitions') return `${initial}; with --kafka what the topics have`;
  return String(initial);
};

const numberOf = (text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number');
  return value;
};

/** Throws `bad_setting`. */
export function refuseWrongOptions(options: GenerateOptions): void {
  const refuse = (message: string): never => {
    throw new StreamError('bad_setting', `generate: ${message}`);
  };
  if ((options.out === undefined) === !options.kafka) refuse('expected either --out FILE or --kafka');
  if (!options.kafka && (options.rate !== undefined || options.forever)) refuse('--rate and --forever go with --kafka');
  if (options.forever && options.truth !== undefined) refuse('--forever has no end at which a truth could be written');
  if (options.forever && (options.baseMs !== undefined || options.spanMs !== undefined)) refuse('--forever: the time is now');
  if (options.rate !== undefined && options.rate <= 0) refuse(`--rate is ${options.rate}; expected a number above 0`);
}

export const rateOf = (options: GenerateOptions): number | null => options.rate ?? (options.forever ? DEFAULT_RATE : null);

/** Of the options, those that are about the traffic; times that are not given are the stream's own. */
export function trafficOf(options: GenerateOptions, { time }: Settings): Partial<TrafficSettings> {
  const { windowMs, allowedLatenessMs, maxOutOfOrdernessMs, maxFutureSkewMs, dedupTtlMs, dedupBucketMs } = time;
  const names = Object.keys(TRAFFIC_SETTINGS) as (keyof TrafficSettings)[];
  const given = Object.fromEntries(names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]));
  if (options.partitions === 1) given['idlePartitions'] ??= 0;
  return { windowMs, allowedLatenessMs, maxOutOfOrdernessMs, maxFutureSkewMs, dedupTtlMs, dedupBucketMs, ...given };
}

/** Every setting of the traffic, declared once: default, range, meaning. All are numbers, so that a command line is made from the table. */
import { StreamError } from '../errors.ts';

interface Spec {
  default: number;
  min: number;
  max: number;
  /** Fractions are refused. */
  whole: boolean;
  says: string;
}

const whole = (value: number, min: number, max: number, says: string): Spec => ({ default: value, min, max, whole: true, says });
const share = (value: number, says: string): Spec => ({ default: value, min: 0, max: 0.9, whole: false, says });

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Shares are of a topic's records. Counts are whole topics, copies included, and are met exactly. */
export const TRAFFIC_SETTINGS = {
  seed: whole(1, 0, 2 ** 32 - 1, 'Same seed and settings, same bytes.'),
  baseMs: whole(Date.UTC(2026, 9, 5), 30 * DAY, 8.64e15 - 400 * DAY, 'Kafka time of the first record, epoch ms.'),
  spanMs: whole(30 * HOUR, SECOND, 366 * DAY, 'Kafka time from the first record to the last.'),
  impressions: whole(100_000, 0, 100_000_000, 'Records on `impressions`.'),
  exposures: whole(30_000, 0, 100_000_000, 'Records on `exposures`.'),
  assignments: whole(10_000, 0, 100_000_000, 'Records on `assignments`.'),
  partitions: whole(8, 1, 1024, 'Partitions of each topic.'),
  idlePartitions: whole(
    1,
    0,
    1023,
    'Partitions of each topic without steady traffic: in turn, one that pauses for a third of the time, one that gets nothing.',
  ),
  bursts: whole(0, 0, 1000, 'Times when 5 % of the traffic between two of them comes within a minute.'),
  campaigns: whole(200, 1, 1_000_000, 'Campaigns.'),
  hotKeySkew: {
    default: 1,
    min: 0,
    max: 5,
    whole: false,
    says: 'Zipf exponent over campaigns: 0 spreads evenly, 1 gives the first of 200 17 %.',
  },
  advertisers: whole(40, 1, 1_000_000, 'Advertisers; a campaign belongs to one.'),
  experiments: whole(12, 1, 1000, 'Experiments.'),
  variants: whole(2, 1, 26, 'Variants of an experiment, split evenly.'),
  units: whole(20_000, 1, 10_000_000, 'Units that meet experiments.'),
  users: whole(50_000, 1, 10_000_000, 'Users that see impressions.'),
  duplicateShare: share(0.05, 'Copies under the same event_id.'),
  farShare: {
    default: 0.4,
    min: 0,
    max: 1,
    whole: false,
    says: 'Of the duplicates: those that come minutes to hours later; the others come within a minute.',
  },
  changedShare: {
    default: 0.1,
    min: 0,
    max: 1,
    whole: false,
    says: 'Of the duplicates: those with another amount and time than the original.',
  },
  restampedShare: share(0.008, 'An SDK’s retries: the same event again under a new event_id, within a second.'),
  twinShare: share(0.0003, 'Honest events of the same who, what and second, e.g. two ad slots of one page.'),
  reusedIdShare: share(0.0005, 'An event_id again as a new event: after its TTL, or after a record of that id that was invalid.'),
  disorderShare: share(0.04, 'Out of order, within maxOutOfOrderness.'),
  lateInsideShare: share(0.02, 'Behind the watermark, within allowed lateness.'),
  lateShare: share(0.01, 'Beyond allowed lateness.'),
  aheadShare: share(0.002, 'From clocks ahead by at most maxFutureSkew: accepted, and they pull the watermark.'),
  skewShare: share(0.001, 'From clocks ahead by more than maxFutureSkew: invalid.'),
  malformedShare: share(0.001, 'Broken in one of many ways: invalid.'),
  unusualShare: share(0.02, 'Valid JSON in an unusual form: pretty-printed, escaped, shuffled, ISO times, exponents…'),
  oddIdShare: {
    default: 0.03,
    min: 0,
    max: 1,
    whole: false,
    says: 'Of campaigns and units: those whose ids hold quotes, braces, spaces, letters of other scripts.',
  },
  contaminatedShare: share(0.01, 'Of (experiment, unit): those that are shown several variants.'),
  invalidTrafficShare: share(0.02, 'Impressions with is_valid false.'),
  maxOutOfOrdernessMs: whole(30 * SECOND, 0, DAY, 'As in the configuration of the stream.'),
  maxFutureSkewMs: whole(5 * MINUTE, 0, DAY, 'As in the configuration of the stream.'),
  windowMs: whole(MINUTE, 1, HOUR, 'As in the configuration of the stream.'),
  allowedLatenessMs: whole(15 * MINUTE, 0, 10 * DAY, 'As in the configuration of the stream.'),
  dedupTtlMs: whole(DAY, MINUTE, 30 * DAY, 'As in the configuration of the stream.'),
  dedupBucketMs: whole(HOUR, SECOND, DAY, 'As in the configuration of the stream.'),
} as const satisfies Record<string, Spec>;

export type TrafficSettings = { [Name in keyof typeof TRAFFIC_SETTINGS]: number };

/** Of a topic's records, those that repeat an earlier one, and those that are wrong in themselves. */
const COPIES = ['duplicateShare', 'restampedShare', 'twinShare', 'reusedIdShare'] as const;
const FAULTS = ['disorderShare', 'lateInsideShare', 'lateShare', 'aheadShare', 'skewShare', 'malformedShare'] as const;

/** The settings given, completed by defaults. Throws `bad_setting` with the name, the value and what was expected. */
export const resolveSettings = (given: Partial<TrafficSettings>): TrafficSettings => {
  const known: Record<string, Spec> = TRAFFIC_SETTINGS;
  const resolved: Record<string, number> = {};
  for (const name of Object.keys(given)) if (!Object.hasOwn(known, name)) refuse(`generate: there is no setting ${name}`);
  for (const [name, spec] of Object.entries(known)) {
    const value = (given as Record<string, number | undefined>)[name] ?? spec.default;
    if (!(value >= spec.min && value <= spec.max) || (spec.whole && !Number.isInteger(value)))
      refuse(`generate: ${name} is ${value}; expected ${spec.whole ? 'a whole number' : 'a number'} from ${spec.min} to ${spec.max}`);
    resolved[name] = value;
  }
  const settings = resolved as TrafficSettings;
  refuseTogether(settings);
  return settings;
};

const refuseTogether = (settings: TrafficSettings): void => {
  const sum = (names: readonly (keyof TrafficSettings)[]) => names.reduce((total, name) => total + settings[name], 0);
  if (sum(COPIES) > 0.5) refuse(`generate: ${COPIES.join(' + ')} is ${sum(COPIES)}; expected at most 0.5`);
  if (sum(COPIES) + sum(FAULTS) > 0.95)
    refuse(`generate: all shares of copies and faults are ${sum(COPIES) + sum(FAULTS)}; expected at most 0.95`);
  if (settings.idlePartitions >= settings.partitions)
    refuse(`generate: idlePartitions is ${settings.idlePartitions}; expected fewer than partitions (${settings.partitions})`);
  if (settings.dedupTtlMs <= settings.allowedLatenessMs + settings.windowMs)
    refuse(`generate: dedupTtlMs is ${settings.dedupTtlMs}; expected more than allowedLatenessMs + windowMs`);
};

const refuse = (message: string): never => {
  throw new StreamError('bad_setting', message);
};

/** What a record says, by the text of contract.md alone: JSON.parse and plain checks. Shares no code with src. */

export type Topic = 'exposures' | 'assignments' | 'impressions';

/** One record of a source partition. */
export interface OracleRecord {
  topic: Topic;
  partition: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
  /** Kafka's timestamp, epoch ms; NaN when there is none. */
  timestampMs: number;
}

/** A valid record's fields. Optional ones that are absent are null or their default. */
export interface Event {
  eventId: string;
  eventMs: number;
  /** Campaign or experiment. */
  entity: string;
  /** User (may be absent) or unit. */
  actor: string | null;
  /** Surface (may be absent) or variant. */
  detail: string | null;
  spendMicros: number;
  isValid: boolean;
  allocationVersion: number;
}

/** The text is why, in this oracle's own words. */
export class Invalid extends Error {}

const MAX_TIME_MS = 8.64e15;
// A byte-order mark must reach JSON.parse, which refuses it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const UNUSABLE_IN_ID = /[\0\p{Surrogate}]/u;
const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;

type Body = Record<string, unknown>;

export interface Limits {
  maxFutureSkewMs: number;
  maxSpendMicros: number;
}

/** The record's fields; throws Invalid. */
export const decode = (record: OracleRecord, limits: Limits): Event => {
  const body = bodyOf(record.value);
  const event = record.topic === 'impressions' ? impression(body, limits) : unitEvent(body, record.topic);
  if (record.key === null) throw new Invalid('the key is null');
  if (event.eventMs > record.timestampMs + limits.maxFutureSkewMs) throw new Invalid('the clock is skewed');
  return event;
};

const bodyOf = (value: Uint8Array | null): Body => {
  if (value === null) throw new Invalid('the value is null');
  let body: unknown;
  try {
    body = JSON.parse(utf8.decode(value));
  } catch {
    throw new Invalid('the value is no JSON in UTF-8');
  }
  if (!isObject(body)) throw new Invalid('the value is no object');
  return body;
};

const impression = (body: Body, limits: Limits): Event => {
  optional(body['advertiser_id'], id);
  optional(body['received_ts'], time);
  return {
    eventId: id(body['event_id']),
    eventMs: time(body['event_ts']),
    entity: id(body['campaign_id']),
    actor: optional(body['user_id'], id),
    detail: optional(body['surface'], text),
    spendMicros: integer(body['spend_micros'], 0, limits.maxSpendMicros),
    isValid: optional(body['is_valid'], boolean) ?? true,
    allocationVersion: 1,
  };
};

const unitEvent = (body: Body, topic: Topic): Event => {
  if (topic === 'exposures') {
    optional(body['received_ts'], time);
    optional(body['assigned_ts'], time);
    optional(body['attributes'], object);
  }
  return {
    eventId: id(body['event_id']),
    eventMs: time(body['event_ts']),
    entity: id(body['experiment_id']),
    actor: id(body['unit_id']),
    detail: id(body['variant_id']),
    spendMicros: 0,
    isValid: true,
    allocationVersion: optional(body['allocation_version'], (value) => integer(value, 1, 2 ** 31 - 1)) ?? 1,
  };
};

const isObject = (value: unknown): value is Body => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Null counts as absent. */
const optional = <T>(value: unknown, read: (value: unknown) => T): T | null => (value === undefined || value === null ? null : read(value));

const text = (value: unknown): string => {
  if (typeof value !== 'string') throw new Invalid('a text is of another type');
  return value;
};

const boolean = (value: unknown): boolean => {
  if (typeof value !== 'boolean') throw new Invalid('a boolean is of another type');
  return value;
};

const object = (value: unknown): Body => {
  if (!isObject(value)) throw new Invalid('an object is of another type');
  return value;
};

const id = (value: unknown): string => {
  const read = text(value);
  if (read === '' || UNUSABLE_IN_ID.test(read)) throw new Invalid('an id is empty or holds what it may not');
  if (read.length > 256 && [...read].length > 256) throw new Invalid('an id is longer than 256 code points');
  return read;
};

const integer = (value: unknown, low: number, high: number): number => {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high)
    throw new Invalid('a number is no integer in range');
  return value + 0; // -0 is 0
};

const time = (value: unknown): number => integer(typeof value === 'string' ? rfc3339(value) : value, 0, MAX_TIME_MS);

const rfc3339 = (value: string): number => {
  const match = RFC3339.exec(value);
  if (match === null) throw new Invalid('a time is not RFC 3339');
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const milliseconds = Number((match[7] ?? '').slice(0, 3).padEnd(3, '0'));
  const offset = match[8] === undefined ? [0, 0] : [Number(match[9]), Number(match[10])];
  const local = new Date(0);
  local.setUTCFullYear(year, month - 1, day);
  local.setUTCHours(hour, minute, second, milliseconds);
  // What is out of range moves the date on, so that it does not read back as written.
  const isReal = local.getUTCMonth() === month - 1 && local.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!isReal || offset[0] > 23 || offset[1] > 59) throw new Invalid('a time does not exist');
  return local.getTime() - (match[8] === '-' ? -1 : 1) * (offset[0] * 60 + offset[1]) * 60_000;
};

/** Every error by what happens next. The runbook has an entry for each code; a test holds the two against each other. */

/**
 * `retry`: again with backoff, offsets stand still. `reopen`: the task is rebuilt from its last commit. `stop`: this task ends, the
 * others go on; a stage of which no task is left ends the process with 1. `exit`: the process ends with that code.
 */
export type Action = 'retry' | 'reopen' | 'stop' | 'exit_1' | 'exit_2';

export const ERRORS = {
  bad_setting: { action: 'exit_2', says: 'A setting is wrong; the message names it, its value and what was expected.' },
  kafka_unreachable: { action: 'retry', says: 'No Kafka broker answers.' },
  kafka_refused: { action: 'exit_1', says: 'Kafka refuses this client: credentials, permissions or the group’s settings are wrong.' },
  batch_unreadable: {
    action: 'stop',
    says: 'A batch in Kafka cannot be read: its checksum does not hold, or it is compressed in an unknown way. The message names topic, partition and offset.',
  },
  batch_old_format: {
    action: 'stop',
    says: 'A batch in Kafka has a message format from before Kafka 0.11 (v0 or v1). The message names topic, partition and offset.',
  },
  message_too_large: { action: 'stop', says: 'A record is larger than its topic accepts: raise max.message.bytes there.' },
  redis_unreachable: { action: 'retry', says: 'Redis does not answer; counters stand still until it does.' },
  postgres_unreachable: { action: 'retry', says: 'Postgres does not answer; hourly totals wait, counters go on.' },
  alert_unknown: { action: 'exit_1', says: 'There is no alert of that id in Postgres.' },
  bad_line: { action: 'exit_1', says: 'A line of the input file is no record; the message names the line and what is wrong with it.' },
  topic_missing: { action: 'exit_1', says: 'A topic does not exist: `exposure-stream migrate --topics` creates what is missing.' },
  schema_missing: { action: 'exit_1', says: 'The Postgres schema is missing or old: run `exposure-stream migrate`.' },
  schema_changed: { action: 'exit_1', says: 'A migration that has run is not the one this package ships: never edit one, add another.' },
  partition_lost: { action: 'reopen', says: 'The partition was assigned elsewhere; nothing to do.' },
  claim_lost: {
    action: 'reopen',
    says: 'Another owner has claimed this state. A task whose partition went elsewhere ends; one that still owns it claims again.',
  },
  unexpected: { action: 'reopen', says: 'A fault without a name; the task is rebuilt from its last commit.' },
  counts_mismatch: { action: 'stop', says: 'consumed ≠ accepted + duplicate + late + invalid: the state cannot be believed.' },
  total_overflow: { action: 'stop', says: 'A total would pass 2^53 − 1 and could not be exact any more.' },
  too_many_ids: {
    action: 'stop',
    says: 'More distinct campaign, experiment or variant ids in one partition than allowed (limits.maxIds).',
  },
  too_many_variants: { action: 'stop', says: 'More than 32,767 distinct variant ids of one experiment in one partition.' },
  state_memory_full: {
    action: 'stop',
    says: 'The state of this process has reached STATE_MEMORY_BYTES: more partitions or processes, or a shorter TTL.',
  },
  state_lost: {
    action: 'stop',
    says: 'The group has committed offsets, the log no longer starts at 0, and there is no state: restore the state, or accept the loss with --accept-state-loss.',
  },
  state_corrupt: { action: 'stop', says: 'Bytes of the state that count do not match their checksum.' },
  state_newer_format: { action: 'exit_1', says: 'The state was written by a newer version of this program.' },
  state_other_seed: { action: 'exit_1', says: 'The state was written with another STATE_HASH_SEED.' },
  state_unwritable: { action: 'exit_1', says: 'The state folder cannot be written (full, read-only, or another user’s).' },
  partition_count_changed: { action: 'exit_1', says: 'A topic has another number of partitions than when this state began.' },
  position_beyond_log: { action: 'stop', says: 'The state is ahead of its log: the topic was recreated or truncated.' },
  position_before_log: {
    action: 'stop',
    says: 'Records between the state’s position and the first retained offset are gone: retention was shorter than the outage.',
  },
  redis_ahead: {
    action: 'stop',
    says: 'Redis holds a version above the end of .partials: the topic was recreated. `migrate --new-epoch --confirm`.',
  },
  epoch_changed: { action: 'exit_1', says: 'The epoch was raised (`migrate --new-epoch`) while this process ran: start it again.' },
  reconcile_busy: { action: 'exit_1', says: 'Another reconcile is at work; this one has changed nothing.' },
  truth_unreadable: {
    action: 'exit_1',
    says: 'A contract view (truth_…) lacks a column, has one of another type than the contract says, or answers with what cannot be reconciled.',
  },
  not_approved: {
    action: 'exit_1',
    says: 'The run named by `reconcile --approve` is not there, not held, or was decided before one that was applied over the same hours.',
  },
  partial_format: { action: 'stop', says: 'A record in .partials was written by a newer version of this program.' },
} as const satisfies Record<string, { action: Action; says: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a name. `message` says what is wrong and what to do, in one or two sentences. */
export class StreamError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StreamError';
    this.code = code;
  }

  get action(): Action {
    return ERRORS[this.code].action;
  }
}

/** The code of any error; faults without a name are `unexpected`. */
export const codeOf = (error: unknown): ErrorCode => (error instanceof StreamError ? error.code : 'unexpected');

export const actionOf = (error: unknown): Action => ERRORS[codeOf(error)].action;

export const asError = (value: unknown): Error => (value instanceof Error ? value : new Error(String(value)));

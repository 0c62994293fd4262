/** Why a record is invalid. The generated reference lists this table; the code is the `reason` header on `.invalid`. */
export const REASON_TEXTS = {
  null_value: 'The record has no value.',
  schema_registry_framing:
    'The value begins with byte 0, as written for a schema registry, and this stream is not set up for that (or the frame is cut short).',
  not_utf8: 'The value is not UTF-8.',
  not_json: 'The value is not JSON (RFC 8259); a byte-order mark is not either.',
  not_an_object: 'The value is JSON, but no object.',
  missing_field: 'A required field is missing or null.',
  wrong_type: 'A listed field is of another type than the contract says.',
  bad_id: 'An id is not 1 to 256 code points long, or holds U+0000 or a lone surrogate.',
  bad_time: 'A time is neither an integer of epoch ms from 0 to 8.64e15 nor RFC 3339 with `Z` or an offset.',
  bad_amount: '`spend_micros` is no integer from 0 to the largest amount allowed (limits.maxSpendMicros).',
  bad_version: '`allocation_version` is no integer from 1 to 2^31 − 1.',
  missing_key: 'All is right but the record has no key: nothing ties its duplicates to one partition.',
  clock_skew: 'All is right but `event_ts` is further ahead of the Kafka timestamp than allowed.',
} as const satisfies Record<string, string>;

export type InvalidReason = keyof typeof REASON_TEXTS;

/** Reasons by number, as `Decoder.decode` returns them; 0 means the record is good. */
export const INVALID_REASONS: readonly ['', ...InvalidReason[]] = ['', ...(Object.keys(REASON_TEXTS) as InvalidReason[])];

/** The number of a reason. */
export const reasonNumber = (reason: InvalidReason): number => INVALID_REASONS.indexOf(reason);

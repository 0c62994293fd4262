/**
 * Where things lie, in bytes: what is here stands in src/operators/event-columns.ts and src/operators/decoder-memory.ts too.
 * Constants are put in where they are named.
 */

/** In a configuration. */
export const IS_IMPRESSION: usize = 0;
export const MAX_SPEND: usize = 8;
export const REQUIRED: usize = 16;
export const FIELDS: usize = 20;
export const KEY: usize = 24;
export const TARGETS: usize = 32;
export const MAX_SKEW: usize = 48;
export const NAME_STARTS: usize = 64;
export const NAMES: usize = 136;
/** By place: length of the separator, what follows it, a mask of its length, and its bytes. */
export const SEPARATORS: usize = 1024;
export const SEPARATOR_SIZE: usize = 48;

/** Records of a block, as src/operators/event-columns.ts has it. */
const BLOCK: usize = 64;
/** In a block: columns, first of event_ts, received_ts, assigned_ts and spend_micros, in doubles. */
export const NUMBERS: usize = 0;
export const NUMBERS_SIZE: usize = 8 * BLOCK;
export const EVENT_TS: usize = 0;
export const RECEIVED_TS: usize = 8 * BLOCK;
export const ASSIGNED_TS: usize = 16 * BLOCK;
export const SPEND_MICROS: usize = 24 * BLOCK;
export const FLAGS: usize = 32 * BLOCK;
export const VERSIONS: usize = 36 * BLOCK;
/** Of each hash first the upper words, then the lower ones. */
export const ID_HASHES: usize = 40 * BLOCK;
export const ENTITY_HASHES: usize = 48 * BLOCK;
export const SUSPECT_HASHES: usize = 56 * BLOCK;
export const UNIT_HASHES: usize = 64 * BLOCK;
export const VARIANT_HASHES: usize = 72 * BLOCK;
export const LOWER_WORDS: usize = 4 * BLOCK;
/** Of each text, then of the attributes, first where they start, then where they end. */
export const TEXTS: usize = 80 * BLOCK;
export const TEXT_SIZE: usize = 8 * BLOCK;
export const ATTRIBUTES: usize = 136 * BLOCK;
export const ENDS: usize = 4 * BLOCK;

/** In what is to be found: doubles, then words, of which the last four are addresses of columns. */
export const BASE_OFFSET: usize = 0;
export const BASE_TIME: usize = 8;
export const APPEND_TIME: usize = 16;
export const FROM_OFFSET: usize = 24;
export const FROM: usize = 32;
export const TO: usize = 36;
export const COUNT: usize = 40;
export const LAST_DELTA: usize = 44;
export const OFFSETS: usize = 48;
export const TIMES: usize = 52;
export const KEYS: usize = 56;
export const VALUES: usize = 60;

/** What a record's flags say. */
export const HAS_USER: i32 = 1;
export const HAS_SURFACE: i32 = 4;
export const VALID: i32 = 8;
export const HAS_ATTRIBUTES: i32 = 16;
export const SURE: i32 = 32;
/** There is a suspect's key. */
export const TIED: i32 = 64;

/** As in src/operators/field-reader.ts. */
export const EVENT_ID: u32 = 0;
export const ENTITY_ID: u32 = 1;
export const VARIANT_ID: u32 = 2;
export const UNIT_ID: u32 = 3;
export const USER_ID: u32 = 4;
export const LAST_ID: u32 = 5;
export const SURFACE: u32 = 6;
export const LAST_TEXT: u32 = 6;
export const SPEND: u32 = 10;
export const ALLOCATION_VERSION: u32 = 11;
export const IS_VALID: u32 = 12;
export const FIRST_OPTIONAL_TEXT: u32 = 4;

/** Other texts may be longer, but are left to others then: eight are hashed together, in as many rounds as the longest takes. */
export const MAX_TEXT: usize = 1024;

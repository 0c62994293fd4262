/** What judging asks of every record of a block, as columns; what is asked of a few lies where the record was read. */
import type { SeededHash } from '../state/hash.ts';
import type { Stream } from '../topology/types.ts';
import type { DecodedEvent } from './decoded-event.ts';
import { isTied, suspectKey } from './suspect.ts';

/** Records of a block: so many that their misses overlap, so few that they fit the nearest cache. */
export const BLOCK = 32;

/** As native/decode.ts has them, in bytes: spans of values, columns, and what else each record says. */
export const COLUMNS_AT = {
  spans: 0,
  flags: 256,
  eventTs: 384,
  spendMicros: 640,
  ids: 896,
  entities: 1152,
  suspects: 1408,
  units: 1664,
  variants: 1920,
  results: 2176,
  resultBytes: 112,
} as const;
export const COLUMNS_BYTES = COLUMNS_AT.results + BLOCK * COLUMNS_AT.resultBytes;

export const FLAG = { user: 1, advertiser: 2, surface: 4, valid: 8, attributes: 16, sure: 32, tied: 64 } as const;

export class HashColumns {
  readonly his: Uint32Array;
  readonly los: Uint32Array;

  constructor(buffer: ArrayBuffer, at: number) {
    this.his = new Uint32Array(buffer, at, BLOCK);
    this.los = new Uint32Array(buffer, at + 4 * BLOCK, BLOCK);
  }

  /** What stands in the hash. */
  put(i: number, hash: SeededHash): void {
    this.his[i] = hash.hi;
    this.los[i] = hash.lo;
  }
}

export class EventColumns {
  /** `sure` where compiled code has read the record; of others only `surface`, `valid` and `tied` are told. */
  readonly flags: Int32Array;
  readonly eventTs: Float64Array;
  readonly spendMicros: Float64Array;
  readonly ids: HashColumns;
  readonly entities: HashColumns;
  /** Where `tied` is set. */
  readonly suspects: HashColumns;
  /** Of streams that have units. */
  readonly units: HashColumns;
  readonly variants: HashColumns;

  constructor(buffer = new ArrayBuffer(COLUMNS_BYTES), at = 0) {
    this.flags = new Int32Array(buffer, at + COLUMNS_AT.flags, BLOCK);
    this.eventTs = new Float64Array(buffer, at + COLUMNS_AT.eventTs, BLOCK);
    this.spendMicros = new Float64Array(buffer, at + COLUMNS_AT.spendMicros, BLOCK);
    this.ids = new HashColumns(buffer, at + COLUMNS_AT.ids);
    this.entities = new HashColumns(buffer, at + COLUMNS_AT.entities);
    this.suspects = new HashColumns(buffer, at + COLUMNS_AT.suspects);
    this.units = new HashColumns(buffer, at + COLUMNS_AT.units);
    this.variants = new HashColumns(buffer, at + COLUMNS_AT.variants);
  }

  /** Record `i`, which compiled code was not sure of. */
  set(i: number, stream: Stream, event: DecodedEvent, hash: SeededHash): void {
    const { eventId, entityId, unitId, variantId } = event;
    this.eventTs[i] = event.eventTs;
    this.spendMicros[i] = event.spendMicros;
    this.flags[i] = (event.hasSurface ? FLAG.surface : 0) | (event.valid ? FLAG.valid : 0) | (isTied(stream, event) ? FLAG.tied : 0);
    hash.bytes(eventId.bytes, eventId.start, eventId.end);
    this.ids.put(i, hash);
    if (stream !== 'impressions') {
      hash.bytes(unitId.bytes, unitId.start, unitId.end);
      this.units.put(i, hash);
      hash.bytes(variantId.bytes, variantId.start, variantId.end);
      this.variants.put(i, hash);
    }
    hash.bytes(entityId.bytes, entityId.start, entityId.end);
    this.entities.put(i, hash);
    if (suspectKey(stream, event, hash)) this.suspects.put(i, hash);
  }
}

/** What judging asks of every record of a block, as columns; what is asked of a few lies where the record was read. */
import type { SeededHash } from '../state/hash.ts';
import type { Stream } from '../topology/types.ts';
import type { DecodedEvent } from './decoded-event.ts';
import { TEXTS } from './field-reader.ts';
import { isTied, suspectKey } from './suspect.ts';

/** Records of a block: so many that their misses overlap, so few that they fit the nearest cache. */
export const BLOCK = 64;

/** As native/layout.ts has them, in bytes. */
const AT = {
  eventTs: 0,
  receivedTs: 8 * BLOCK,
  assignedTs: 16 * BLOCK,
  spendMicros: 24 * BLOCK,
  flags: 32 * BLOCK,
  versions: 36 * BLOCK,
  ids: 40 * BLOCK,
  entities: 48 * BLOCK,
  suspects: 56 * BLOCK,
  units: 64 * BLOCK,
  variants: 72 * BLOCK,
  texts: 80 * BLOCK,
  attributes: 136 * BLOCK,
  end: 144 * BLOCK,
} as const;
export const COLUMNS_BYTES = AT.end;
const SPAN_BYTES = 8 * BLOCK;

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

/** Where something lies, of each record. */
export class SpanColumns {
  readonly starts: Int32Array;
  readonly ends: Int32Array;

  constructor(buffer: ArrayBuffer, at: number) {
    this.starts = new Int32Array(buffer, at, BLOCK);
    this.ends = new Int32Array(buffer, at + 4 * BLOCK, BLOCK);
  }
}

export class EventColumns {
  /** `sure` where compiled code has read the record; of others only `surface`, `valid`, `attributes` and `tied` are told. */
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
  readonly versions: Int32Array;
  readonly assignedTs: Float64Array;
  /** Of sure records: where their texts lie, by number of the text. Nothing is the entity of others. */
  readonly texts: readonly SpanColumns[];
  readonly attributes: SpanColumns;
  readonly receivedTs: Float64Array;

  constructor(buffer = new ArrayBuffer(COLUMNS_BYTES), at = 0) {
    this.flags = new Int32Array(buffer, at + AT.flags, BLOCK);
    this.eventTs = new Float64Array(buffer, at + AT.eventTs, BLOCK);
    this.spendMicros = new Float64Array(buffer, at + AT.spendMicros, BLOCK);
    this.ids = new HashColumns(buffer, at + AT.ids);
    this.entities = new HashColumns(buffer, at + AT.entities);
    this.suspects = new HashColumns(buffer, at + AT.suspects);
    this.units = new HashColumns(buffer, at + AT.units);
    this.variants = new HashColumns(buffer, at + AT.variants);
    this.texts = Array.from({ length: TEXTS }, (_, text) => new SpanColumns(buffer, at + AT.texts + text * SPAN_BYTES));
    this.attributes = new SpanColumns(buffer, at + AT.attributes);
    this.versions = new Int32Array(buffer, at + AT.versions, BLOCK);
    this.receivedTs = new Float64Array(buffer, at + AT.receivedTs, BLOCK);
    this.assignedTs = new Float64Array(buffer, at + AT.assignedTs, BLOCK);
  }

  /** Record `i`, which compiled code was not sure of. */
  set(i: number, stream: Stream, event: DecodedEvent, hash: SeededHash): void {
    const { eventId, entityId, unitId, variantId } = event;
    this.eventTs[i] = event.eventTs;
    this.spendMicros[i] = event.spendMicros;
    this.versions[i] = event.allocationVersion;
    this.assignedTs[i] = event.assignedTs;
    const said = (event.hasSurface ? FLAG.surface : 0) | (event.valid ? FLAG.valid : 0) | (event.hasAttributes ? FLAG.attributes : 0);
    this.flags[i] = said | (isTied(stream, event) ? FLAG.tied : 0);
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

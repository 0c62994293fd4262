/**
 * The records of `exposure-stream.partials`: what one source partition has contributed, as absolute values, and how far
 * it is. Packed, little-endian, versioned.
 *
 * An emission is one mark plus the cells that changed, split over the partitions of the topic by entity and, where a
 * record would grow too large, into parts. A mark counts only when all parts of its emission in that partition are there.
 */
import { StreamError } from '../errors.ts';
import { type ByteReader, ByteWriter } from '../state/bytes.ts';
import type { Stream } from './types.ts';
import { STREAMS } from './types.ts';

const MAGIC = 0xe5;
/** 2: other kinds of cells than the first six. */
const FORMAT = 2;

/** Kinds of cells; a number is never given to something else. `columns` and the length of a time slot; life cells have time 0. */
export const CELLS = {
  /** Spend of a campaign in a quarter hour: spendMicros, impressions. */
  spend: { kind: 0, columns: 2, slotMs: 900_000 },
  /** Evidence of a campaign in an hour: late, duplicate, suspected, invalid traffic; records and micros of each. */
  spendEvidence: { kind: 1, columns: 8, slotMs: 3_600_000 },
  /** First exposures of (experiment, version, variant) in an hour. */
  units: { kind: 2, columns: 1, slotMs: 3_600_000 },
  /** Evidence of (experiment, version, variant) in an hour: late, duplicate, suspected records. */
  exposureEvidence: { kind: 3, columns: 3, slotMs: 3_600_000 },
  /** First exposures of (experiment, version, variant) ever. */
  unitsTotal: { kind: 4, columns: 1, slotMs: 0 },
  /** Units of an experiment seen in more than one variant, ever. */
  contaminated: { kind: 5, columns: 1, slotMs: 0 },
  // 6–15 experiments and their tests · 16–19 pacing · 20 and above the reconciler
} as const;
export type CellName = keyof typeof CELLS;
export const CELL_NAMES = Object.keys(CELLS) as CellName[];
const MAX_COLUMNS = Math.max(...CELL_NAMES.map((name) => CELLS[name].columns));
const NAME_OF_KIND = new Map<number, CellName>(CELL_NAMES.map((name) => [CELLS[name].kind, name]));

/** States of format 1 have the first six kinds, in their order. */
export const KINDS_OF_STATE_1 = 6;

/** The name of a kind of cell. Throws StreamError `code` for one that this program does not know. */
export function cellOfKind(kind: number, code: 'partial_format' | 'state_newer_format'): CellName {
  const name = NAME_OF_KIND.get(kind);
  if (name !== undefined) return name;
  throw new StreamError(code, `there are cells of kind ${kind}, which a newer version of this program has written: upgrade this one`);
}

/** How far a source partition is. */
export interface Mark {
  topic: string;
  partition: number;
  stream: Stream;
  /** Partitions of the source topic: evaluate must hear from each of them. */
  partitions: number;
  /** The offset at which counting began: above 0 after state was lost behind a truncated log. */
  origin: number;
  /** The next offset to be judged. */
  position: number;
  /** Null before the first accepted record. */
  watermarkMs: number | null;
  /** Read to the end and silent: no longer holds the watermark back. */
  idle: boolean;
  /** Ms since the fetch that found the end of the log at this position; null when not at the end. */
  endAgeMs: number | null;
  /** Kafka time of the last record judged; null when there was none with a time. */
  lastRecordMs: number | null;
  /**
   * Kafka time of the oldest record judged since the emission before. In one partition of `.partials` an emission, so that
   * it is measured once; null in the others, and when there was no record with a time.
   */
  oldestRecordMs: number | null;
  /** Claim of the owner that sent this, and its count of emissions: with position they name an emission. */
  claim: number;
  emission: number;
}

export interface PartialHeader extends Mark {
  part: number;
  parts: number;
}

/** Group of a cell: (campaign) or (experiment, version, variant); unused fields are '' and 0. */
export interface GroupName {
  entity: string;
  version: number;
  variant: string;
}

/** Writes the name of a group, as `writeGroupName` does. */
export type WriteName = (id: number, to: ByteWriter) => void;

export const writeGroupName = ({ entity, version, variant }: GroupName, to: ByteWriter): void => {
  to.string(entity);
  to.varint(version);
  to.string(variant);
};

/** Which number a group has in the record it was last named in. Shared by bodies of which only one at a time gets cells of a group. */
export class GroupNumbers {
  /** By the caller's id of a group. */
  readonly #records: number[] = [];
  readonly #numbers: number[] = [];
  #begun = 0;

  /** The number of another record. */
  begin(): number {
    return ++this.#begun;
  }

  /** The group's number in that record, -1 when it was not named there. */
  find(record: number, id: number): number {
    return this.#records[id] === record ? this.#numbers[id] : -1;
  }

  set(record: number, id: number, number: number): void {
    // No holes: sparse arrays would be slow ones.
    while (this.#records.length <= id) {
      this.#records.push(0);
      this.#numbers.push(0);
    }
    this.#records[id] = record;
    this.#numbers[id] = number;
  }
}

/** Builds the body of one record: groups are named once, then referred to. Kept for the next record, so that nothing is made anew. */
export class PartialBody {
  readonly #groups = new ByteWriter(256);
  readonly #cells = new ByteWriter(1024);
  readonly #numbers: GroupNumbers;
  #record: number;
  #known = 0;
  #count = 0;

  constructor(numbers = new GroupNumbers()) {
    this.#numbers = numbers;
    this.#record = numbers.begin();
  }

  get byteLength(): number {
    return this.#groups.length + this.#cells.length;
  }

  get empty(): boolean {
    return this.#count === 0;
  }

  /** @param id what the caller calls the group; a small integer. Its name is asked for when it is new in this record */
  cell(name: CellName, id: number, write: WriteName): ByteWriter {
    let number = this.#numbers.find(this.#record, id);
    if (number < 0) {
      number = this.#known++;
      this.#numbers.set(this.#record, id, number);
      write(id, this.#groups);
    }
    this.#cells.u8(CELLS[name].kind);
    this.#cells.varint(number);
    this.#count++;
    return this.#cells;
  }

  /** The record's value; the body is empty afterwards. */
  take(header: PartialHeader): Uint8Array {
    const out = new ByteWriter(this.byteLength + 128);
    writeHeader(out, header);
    out.varint(this.#known);
    out.bytes(this.#groups.view());
    out.varint(this.#count);
    out.bytes(this.#cells.view());
    this.#groups.reset();
    this.#cells.reset();
    this.#record = this.#numbers.begin();
    this.#known = 0;
    this.#count = 0;
    return out.view();
  }
}

const optional = (out: ByteWriter, value: number | null): void => {
  out.u8(value === null ? 0 : 1);
  if (value !== null) out.f64(value);
};

function writeHeader(out: ByteWriter, header: PartialHeader): void {
  out.u8(MAGIC);
  out.u8(FORMAT);
  out.u8(STREAMS.indexOf(header.stream));
  out.string(header.topic);
  out.varint(header.partition);
  out.varint(header.partitions);
  out.varint(header.origin);
  out.varint(header.position);
  optional(out, header.watermarkMs);
  out.u8(header.idle ? 1 : 0);
  optional(out, header.endAgeMs);
  optional(out, header.lastRecordMs);
  optional(out, header.oldestRecordMs);
  out.varint(header.claim);
  out.varint(header.emission);
  out.varint(header.part);
  out.varint(header.parts);
}

/** Receives the cells of a record. `values` is reused: its first columns hold the cell's. */
export interface CellVisitor {
  /** A name lies from `start` to `end`; `readGroupName` reads it. */
  group(bytes: Uint8Array, start: number, end: number): number;
  /** `cell` follows soon, for who wants to look it up ahead. */
  coming?(name: CellName, group: number, time: number): void;
  cell(name: CellName, group: number, time: number, values: Float64Array): void;
}

const optionalOf = (from: ByteReader): number | null => (from.u8() === 0 ? null : from.f64());

/**
 * Reads the header; cells are read by `readCells` from where this stopped.
 * @throws StreamError partial_format when the record is not ours or newer than this program
 */
export function readHeader(from: ByteReader): PartialHeader {
  const magic = from.u8();
  const format = from.u8();
  if (magic !== MAGIC || format > FORMAT) {
    throw new StreamError(
      'partial_format',
      `a record in .partials has format ${magic}/${format}, this program reads up to ${MAGIC}/${FORMAT}: upgrade it, or find who else writes there`,
    );
  }
  return {
    stream: STREAMS[from.u8()] ?? 'impressions',
    topic: from.string(),
    partition: from.varint(),
    partitions: from.varint(),
    origin: from.varint(),
    position: from.varint(),
    watermarkMs: optionalOf(from),
    idle: from.u8() === 1,
    endAgeMs: optionalOf(from),
    lastRecordMs: optionalOf(from),
    oldestRecordMs: optionalOf(from),
    claim: from.varint(),
    emission: from.varint(),
    part: from.varint(),
    parts: from.varint(),
  };
}

export const readGroupName = (from: ByteReader): GroupName => ({ entity: from.string(), version: from.varint(), variant: from.string() });

/** So many cells are told of before they are given, so that their misses overlap. */
const AHEAD = 32;

/** Cells that were read and not yet given; reused. */
const ahead = {
  names: new Array<CellName>(AHEAD).fill('spend'),
  groups: new Int32Array(AHEAD),
  times: new Float64Array(AHEAD),
  values: Array.from({ length: AHEAD }, () => new Float64Array(MAX_COLUMNS)),
};

export function readCells(from: ByteReader, visitor: CellVisitor): void {
  const groups: number[] = [];
  for (let left = from.varint(); left > 0; left--) {
    const start = from.position;
    from.skip(from.varint());
    from.varint();
    from.skip(from.varint());
    groups.push(visitor.group(from.buffer, start, from.position));
  }
  for (let left = from.varint(); left > 0; ) {
    const count = Math.min(AHEAD, left);
    for (let i = 0; i < count; i++) {
      const name = cellOfKind(from.u8(), 'partial_format');
      ahead.names[i] = name;
      ahead.groups[i] = groups[from.varint()];
      ahead.times[i] = from.varint();
      for (let c = 0; c < CELLS[name].columns; c++) ahead.values[i][c] = from.varint();
      visitor.coming?.(name, ahead.groups[i], ahead.times[i]);
    }
    for (let i = 0; i < count; i++) visitor.cell(ahead.names[i], ahead.groups[i], ahead.times[i], ahead.values[i]);
    left -= count;
  }
}

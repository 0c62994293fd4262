/**
 * The records of `exposure-stream.partials`: what one source partition has contributed, as absolute values, and how far
 * it is. Packed, little-endian, versioned.
 *
 * An emission is one mark plus the cells that changed, split over the partitions of the topic by entity and, where a
 * record would grow too large, into parts. A mark counts only when all parts of its emission in that partition are there.
 */
import { StreamError } from '../errors.ts';
import type { ByteReader } from '../state/bytes.ts';
import { CELL_BLOCK } from '../state/cells.ts';
import { ID_BLOCK, type IdBlock, makeIdBlock } from '../state/id-block.ts';
import type { Stream } from './types.ts';
import { STREAMS } from './types.ts';

export const PARTIAL_MAGIC = 0xe5;
/** 2: other kinds of cells than the first six. */
export const PARTIAL_FORMAT = 2;

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
  /** First exposures of (experiment, version, variant) in a segment, ever: a group too (segment-values.ts), in the place of the time. */
  segmentUnits: { kind: 6, columns: 1, slotMs: 0 },
  /** Units first assigned to (experiment, version, variant), ever. */
  assigned: { kind: 7, columns: 1, slotMs: 0 },
  /** Late exposures of (experiment, version, variant), ever. */
  lateUnits: { kind: 8, columns: 1, slotMs: 0 },
  /** First exposures of (experiment, version, variant) that say when they were assigned; those exposed before it; Σ lag in ms of the others. */
  exposureTiming: { kind: 9, columns: 3, slotMs: 0 },
  /** Spend on a surface in an hour, all campaigns: spendMicros, impressions. The entity is the surface. */
  surfaceSpend: { kind: 16, columns: 2, slotMs: 3_600_000 },
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
  /**
   * Ms from the fetch that found the end of the log at this position until the emission before this one was acknowledged
   * (negative when the fetch came after it); null when not at the end, or when there was none before. So measured, that
   * emission's Kafka time minus this is never later than the fetch, however long this one takes to arrive.
   */
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

/** Group of a cell: (campaign) or (experiment, version, variant); unused fields are '' and 0. `readGroupName` reads it. */
export interface GroupName {
  entity: string;
  version: number;
  variant: string;
}

/** Cells of one kind, as they lie in a record. Reused: valid until the visitor returns. */
export interface CellBlock {
  name: CellName;
  /** At most CELL_BLOCK. */
  size: number;
  groups: Int32Array;
  /** Of a cell of a segment, the segment's group. */
  times: Float64Array;
  /** The columns of each cell in turn. */
  values: Float64Array;
}

export const makeCellBlock = (): CellBlock => ({
  name: 'spend',
  size: 0,
  groups: new Int32Array(CELL_BLOCK),
  times: new Float64Array(CELL_BLOCK),
  values: new Float64Array(CELL_BLOCK * MAX_COLUMNS),
});

/** Receives the cells of a record. */
export interface CellVisitor {
  /** The next names of groups, in their order; a block at a time, for the same reason as cells. Their numbers are to be put into it. */
  groups(names: IdBlock): unknown;
  /** The next cells, in their order; a block at a time, so that who looks them up can ask memory for all of them at once. */
  cells(block: CellBlock): void;
  /** A unit that was counted in a group, for checks that need its id; a few an emission. */
  unit?(group: number, unitId: string): void;
}

const optionalOf = (from: ByteReader): number | null => (from.u8() === 0 ? null : from.f64());

/**
 * Reads the header; cells are read by `readCells` from where this stopped.
 * @throws StreamError partial_format when the record is not ours or newer than this program
 */
export function readHeader(from: ByteReader): PartialHeader {
  const magic = from.u8();
  const format = from.u8();
  if (magic !== PARTIAL_MAGIC || format > PARTIAL_FORMAT) {
    throw new StreamError(
      'partial_format',
      `a record in .partials has format ${magic}/${format}, this program reads up to ${PARTIAL_MAGIC}/${PARTIAL_FORMAT}: upgrade it, or find who else writes there`,
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

const block = makeCellBlock();
const names = makeIdBlock();

function numbered(groups: readonly number[], number: number): number {
  if (number >= groups.length) throw new RangeError(`group ${number} of ${groups.length}`);
  return groups[number];
}

function readGroups(from: ByteReader, visitor: CellVisitor): number[] {
  const groups: number[] = [];
  names.bytes = from.buffer;
  for (let left = from.varint(); left > 0; left -= names.size) {
    names.size = Math.min(left, ID_BLOCK);
    for (let i = 0; i < names.size; i++) {
      names.starts[i] = from.position;
      from.skip(from.varint());
      from.varint();
      from.skip(from.varint());
      names.ends[i] = from.position;
    }
    visitor.groups(names);
    for (let i = 0; i < names.size; i++) groups.push(names.indices[i]);
  }
  return groups;
}

export function readCells(from: ByteReader, visitor: CellVisitor): void {
  const groups = readGroups(from, visitor);
  block.size = 0;
  let kind = -1;
  for (let left = from.varint(); left > 0; left--) {
    const next = from.u8();
    if (next !== kind || block.size === CELL_BLOCK) {
      if (block.size > 0) visitor.cells(block);
      block.size = 0;
      if (next !== kind) block.name = cellOfKind(next, 'partial_format');
      kind = next;
    }
    const i = block.size++;
    const { columns } = CELLS[block.name];
    block.groups[i] = numbered(groups, from.varint());
    const place = from.varint();
    block.times[i] = block.name === 'segmentUnits' ? numbered(groups, place) : place;
    for (let c = 0; c < columns; c++) block.values[i * columns + c] = from.varint();
  }
  if (block.size > 0) visitor.cells(block);
  // Records of version 0.1 end here.
  if (from.done) return;
  for (let left = from.varint(); left > 0; left--) {
    const group = numbered(groups, from.varint());
    const unitId = from.string();
    visitor.unit?.(group, unitId);
  }
}

/** Writes records of `.partials`; what they are stands in partials.ts. */
import { ByteWriter } from '../state/bytes.ts';
import { type CellName, type GroupName, PARTIAL_FORMAT, PARTIAL_MAGIC, type PartialHeader } from './partials.ts';
import { STREAMS } from './types.ts';

/** Writes the name of a group, as `writeGroupName` does. */
export type WriteName = (id: number, to: ByteWriter) => void;

export const writeGroupName = ({ entity, version, variant }: GroupName, to: ByteWriter): void => {
  to.string(entity);
  to.varint(version);
  to.string(variant);
};

const FIRST_GROUPS = 64;

/** Which number a group has in the record it was last named in. Shared by bodies of which only one at a time gets cells of a group. */
export class GroupNumbers {
  /** By the caller's id of a group, the record and the number. */
  #numbers = new Float64Array(2 * FIRST_GROUPS);
  #begun = 0;

  /** The number of another record. */
  begin(): number {
    return ++this.#begun;
  }

  /** Reads what `find` will, so that it waits in the cache. The result means nothing. */
  warm(id: number): number {
    return 2 * id < this.#numbers.length ? this.#numbers[2 * id] : 0;
  }

  /** The group's number in that record, -1 when it was not named there. */
  find(record: number, id: number): number {
    return this.#numbers[2 * id] === record ? this.#numbers[2 * id + 1] : -1;
  }

  set(record: number, id: number, number: number): void {
    if (2 * id >= this.#numbers.length) {
      const grown = new Float64Array(2 ** Math.ceil(Math.log2(2 * id + 2)));
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    this.#numbers[2 * id] = record;
    this.#numbers[2 * id + 1] = number;
  }
}

/** Builds the body of one record: groups are named once, then referred to. Kept for the next record, so that nothing is made anew. */
export class PartialBody {
  readonly #groups = new ByteWriter(256);
  readonly #cells = new ByteWriter(1024);
  readonly #numbers: GroupNumbers;
  #record: number;
  #known = 0;
  readonly #units = new ByteWriter(16);
  /** By group; segments are named in several bodies at a time. */
  readonly #segments = new Map<number, number>();
  #count = 0;
  #unitCount = 0;
  /** What was taken last. */
  readonly #out = new ByteWriter(16);

  constructor(numbers = new GroupNumbers()) {
    this.#numbers = numbers;
    this.#record = numbers.begin();
  }

  get byteLength(): number {
    return this.#groups.length + this.#cells.length + this.#units.length;
  }

  get empty(): boolean {
    return this.#count === 0;
  }

  /** @param kind of CELLS, @param id what the caller calls the group; a small integer. Its name is asked for when it is new in this record */
  cell(kind: number, id: number, write: WriteName): ByteWriter {
    const number = this.#numberOf(id, write);
    this.#cells.u8(kind);
    this.#cells.varint(number);
    this.#count++;
    return this.#cells;
  }

  /** What stands in the place of a cell's time: for those of segments the number of a group, which is another in each record. */
  time(name: CellName, time: number, write: WriteName): number {
    if (name !== 'segmentUnits') return time;
    let number = this.#segments.get(time);
    if (number === undefined) {
      number = this.#known++;
      this.#segments.set(time, number);
      write(time, this.#groups);
    }
    return number;
  }

  /** A unit of the group, by its id. */
  unit(id: number, unitId: string, write: WriteName): void {
    this.#units.varint(this.#numberOf(id, write));
    this.#units.string(unitId);
    this.#unitCount++;
  }

  /** The record's value, whose bytes last until this is called again; the body is empty afterwards. */
  take(header: PartialHeader): Uint8Array {
    const out = this.#out;
    out.reset();
    writeHeader(out, header);
    out.varint(this.#known);
    out.written(this.#groups);
    out.varint(this.#count);
    out.written(this.#cells);
    out.varint(this.#unitCount);
    out.written(this.#units);
    for (const written of [this.#groups, this.#cells, this.#units]) written.reset();
    this.#segments.clear();
    this.#record = this.#numbers.begin();
    this.#known = 0;
    this.#count = 0;
    this.#unitCount = 0;
    return out.view();
  }

  #numberOf(id: number, write: WriteName): number {
    let number = this.#numbers.find(this.#record, id);
    if (number < 0) {
      number = this.#known++;
      this.#numbers.set(this.#record, id, number);
      write(id, this.#groups);
    }
    return number;
  }
}

const optional = (out: ByteWriter, value: number | null): void => {
  out.u8(value === null ? 0 : 1);
  if (value !== null) out.f64(value);
};

function writeHeader(out: ByteWriter, header: PartialHeader): void {
  out.u8(PARTIAL_MAGIC);
  out.u8(PARTIAL_FORMAT);
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

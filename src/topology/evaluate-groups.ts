/** The groups of cells that evaluate has met, by number; names are committed once. */
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { SeededHash } from '../state/hash.ts';
import type { IdBlock } from '../state/id-block.ts';
import { Interner } from '../state/interner.ts';
import { writeGroupName } from './partial-body.ts';
import { type GroupName, readGroupName } from './partials.ts';

/** Of a group, besides its text: what a snapshot needs for it at most. */
const GROUP_BYTES = 64;
const MAX_UTF8_PER_UNIT = 3;
const GROUPS_A_STEP = 8192;

/** A campaign or an experiment. */
export interface Entity {
  readonly id: string;
  /** Its groups, in order of appearance. */
  readonly groups: number[];
}

export class Groups {
  readonly names: GroupName[] = [];
  /** By group: whose it is. So that nobody looks an id up for every cell. */
  readonly entities: Entity[] = [];
  byteLength = 0;
  /** As they lie in partials and in commits. */
  readonly #ids: Interner;
  readonly #byId = new Map<string, Entity>();
  readonly #unitsFields: string[] = [];
  #written = 0;

  /** @param maxIds so many groups at most: then `of` throws StreamError too_many_ids */
  constructor(hash: SeededHash, maxIds: number) {
    this.#ids = new Interner(hash, maxIds);
  }

  /** The number of the group whose name, as `writeGroupName` writes it, lies there. Throws what ByteReader does when it is none. */
  of(bytes: Uint8Array, start: number, end: number): number {
    const group = this.#ids.intern(bytes, start, end);
    if (group === this.names.length) this.#enter(bytes, start, end);
    return group;
  }

  /** The same for a block of names. What it returns means nothing: it was read ahead, and must seem to be used. */
  ofAll(block: IdBlock): number {
    const { bytes, size, starts, ends, hashes, indices } = block;
    const read = this.#ids.hashAll(block);
    for (let i = 0; i < size; i++) {
      indices[i] = this.#ids.internHashed(hashes[i], bytes, starts[i], ends[i]);
      if (indices[i] === this.names.length) this.#enter(bytes, starts[i], ends[i]);
    }
    return read;
  }

  #enter(bytes: Uint8Array, start: number, end: number): void {
    const name = readGroupName(new ByteReader(bytes, start, end));
    this.#assign(name.entity, this.names.length);
    this.names.push(name);
    this.byteLength += (name.entity.length + name.variant.length) * MAX_UTF8_PER_UNIT + GROUP_BYTES;
  }

  #assign(id: string, group: number): void {
    let entity = this.#byId.get(id);
    if (entity === undefined) {
      entity = { id, groups: [] };
      this.#byId.set(id, entity);
    }
    entity.groups.push(group);
    this.entities.push(entity);
  }

  /** The same, of a name that lies nowhere: once in a while, for its bytes are made. */
  named(name: GroupName): number {
    const out = new ByteWriter(name.entity.length * MAX_UTF8_PER_UNIT + GROUP_BYTES);
    writeGroupName(name, out);
    return this.of(out.view(), 0, out.length);
  }

  /** The field of `exposed:` that a group's units are shown in; made once. */
  unitsField(group: number): string {
    while (this.#unitsFields.length <= group) this.#unitsFields.push(`units:${this.names[this.#unitsFields.length].variant}`);
    return this.#unitsFields[group];
  }

  /** All are to be written again. */
  rewind(): void {
    this.#written = 0;
  }

  writeNew(out: ByteWriter): void {
    out.varint(this.names.length - this.#written);
    for (; this.#written < this.names.length; this.#written++) out.bytes(this.#ids.bytesOf(this.#written));
  }

  /** Some ms a step. */
  *readNew(from: ByteReader): Generator<void> {
    for (let left = from.varint(); left > 0; left--) {
      if (left % GROUPS_A_STEP === 0) yield;
      const start = from.position;
      readGroupName(from);
      this.of(from.buffer, start, from.position);
    }
    this.#written = this.names.length;
  }
}

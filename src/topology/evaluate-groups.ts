/** The groups of cells that evaluate has met, by number; names are committed once. */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { GroupName } from './partials.ts';

/** Of a group, besides its text: what a snapshot needs for it at most. */
const GROUP_BYTES = 64;
const MAX_UTF8_PER_UNIT = 3;

export class Groups {
  readonly names: GroupName[] = [];
  byteLength = 0;
  readonly #index = new Map<string, number>();
  #written = 0;

  of(name: GroupName): number {
    const key = `${name.version}\u0000${name.entity}\u0000${name.variant}`; // no id holds U+0000
    let group = this.#index.get(key);
    if (group === undefined) {
      group = this.names.length;
      this.#index.set(key, group);
      this.names.push(name);
      this.byteLength += (name.entity.length + name.variant.length) * MAX_UTF8_PER_UNIT + GROUP_BYTES;
    }
    return group;
  }

  /** All are to be written again. */
  rewind(): void {
    this.#written = 0;
  }

  writeNew(out: ByteWriter): void {
    out.varint(this.names.length - this.#written);
    for (; this.#written < this.names.length; this.#written++) {
      const { entity, version, variant } = this.names[this.#written];
      out.string(entity);
      out.varint(version);
      out.string(variant);
    }
  }

  readNew(from: ByteReader): void {
    for (let left = from.varint(); left > 0; left--) this.of({ entity: from.string(), version: from.varint(), variant: from.string() });
    this.#written = this.names.length;
  }
}

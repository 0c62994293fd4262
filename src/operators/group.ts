/** What is counted together: a campaign, or (experiment, allocation version, variant). */
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { SeededHash } from '../state/hash.ts';
import type { IdBlock } from '../state/id-block.ts';
import { Interner, noRef } from '../state/interner.ts';
import { NO_VIEW } from '../state/last-view.ts';
import type { ByteRef } from '../topology/types.ts';

const NOTHING: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };
/** A length that is written as one byte. */
const SHORT = 0x7f;
// An id may begin with U+FEFF, which a decoder would otherwise take for a byte-order mark.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const scratch = new ByteWriter(1024);

export interface GroupName {
  entity: string;
  /** 0 and '' for a campaign. */
  version: number;
  variant: string;
}

/** Groups as small integers. Of a campaign the hash is that of its id, which is known already where it is looked for. */
export class GroupTable {
  readonly #hash: SeededHash;
  readonly #ids: Interner;
  readonly #ref = noRef();

  /** @param maxIds how many groups are taken before StreamError too_many_ids */
  constructor(hash: SeededHash, maxIds: number) {
    this.#hash = hash;
    this.#ids = new Interner((bytes, start, end) => this.#hashOfPacked(bytes, start, end), maxIds);
  }

  get size(): number {
    return this.#ids.size;
  }

  get byteLength(): number {
    return this.#ids.byteLength;
  }

  /** Puts the groups of campaigns whose ids and hashes these are into the block: -1 where there is none yet, and for very long ids. */
  findCampaigns(block: IdBlock): void {
    this.#ids.findAllFramed(block, SHORT);
  }

  /** The group of a campaign of which only the id is known, and the hash of that; −1 as there. */
  findCampaign({ bytes, start, end }: ByteRef, hash: number): number {
    return end - start > SHORT ? -1 : this.#ids.findFramed(hash, bytes, start, end);
  }

  /** The index of a group, made when it is new. */
  intern(entity: ByteRef, version = 0, variant: ByteRef = NOTHING): number {
    scratch.reset();
    scratch.varint(entity.end - entity.start);
    scratch.bytes(entity.bytes, entity.start, entity.end);
    scratch.varint(version);
    scratch.bytes(variant.bytes, variant.start, variant.end);
    const packed = scratch.view();
    return this.#ids.intern(packed, 0, packed.length);
  }

  /** A group in words. */
  nameOf(group: number): GroupName {
    const from = new ByteReader(this.#ids.bytesOf(group));
    const entity = utf8.decode(from.bytes(from.varint()));
    const version = from.varint();
    return { entity, version, variant: utf8.decode(from.bytes(from.remaining)) };
  }

  /** The bytes of a group's entity. */
  entityOf(group: number): Uint8Array {
    const from = new ByteReader(this.#ids.bytesOf(group));
    return from.bytes(from.varint());
  }

  /** Reads what `writeName` will of the first `count` of these, so that it waits in the cache. The result means nothing. */
  warm(groups: Int32Array, count: number): number {
    const ref = this.#ref;
    let read = 0;
    for (let i = 0; i < count; i++) {
      this.#ids.refer(groups[i], ref);
      read ^= ref.view.getUint8(ref.start);
    }
    ref.view = NO_VIEW;
    return read;
  }

  /** Writes the name as ByteWriter writes text, number and text. */
  writeName(group: number, to: ByteWriter): void {
    const ref = this.#ref;
    this.#ids.refer(group, ref);
    const { view, start, end } = ref;
    ref.view = NO_VIEW;
    const length = view.getUint8(start);
    // A short id, a short version and no variant: most are campaigns.
    if (length <= SHORT && end - start === length + 2) {
      to.words(view, start, end);
      to.u8(0);
      return;
    }
    const packed = this.#ids.bytesOf(group);
    const from = new ByteReader(packed);
    from.bytes(from.varint());
    from.varint();
    const variantAt = packed.length - from.remaining;
    to.bytes(packed, 0, variantAt);
    to.varint(from.remaining);
    to.bytes(packed, variantAt, packed.length);
  }

  /** As Interner. */
  rewind(): void {
    this.#ids.rewind();
  }

  writeNew(to: ByteWriter): void {
    this.#ids.writeNew(to);
  }

  readNew(from: ByteReader): void {
    this.#ids.readNew(from);
  }

  #hashOfPacked(bytes: Uint8Array, start: number, end: number): number {
    const from = new ByteReader(bytes, start, end);
    const length = from.varint();
    const entityAt = from.position;
    this.#hash.bytes(bytes, entityAt, entityAt + length);
    const ofEntity = this.#hash.lo;
    if (entityAt + length + 1 === end && bytes[end - 1] === 0) return ofEntity;
    this.#hash.bytes(bytes, entityAt + length, end);
    return ofEntity ^ this.#hash.lo;
  }
}

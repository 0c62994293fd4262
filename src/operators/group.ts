/** What is counted together: a campaign, or (experiment, allocation version, variant). */
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { Interner } from '../state/interner.ts';
import type { ByteRef } from '../topology/types.ts';

const NOTHING: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };
// An id may begin with U+FEFF, which a decoder would otherwise take for a byte-order mark.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const scratch = new ByteWriter(1024);

/** The index of a group, made when it is new. */
export function internGroup(groups: Interner, entity: ByteRef, version = 0, variant: ByteRef = NOTHING): number {
  scratch.reset();
  scratch.varint(entity.end - entity.start);
  scratch.bytes(entity.bytes, entity.start, entity.end);
  scratch.varint(version);
  scratch.bytes(variant.bytes, variant.start, variant.end);
  const packed = scratch.view();
  return groups.intern(packed, 0, packed.length);
}

/** A group in words; version 0 and variant '' for a campaign. */
export function groupName(groups: Interner, group: number): { entity: string; version: number; variant: string } {
  const from = new ByteReader(groups.bytesOf(group));
  const entity = utf8.decode(from.bytes(from.varint()));
  const version = from.varint();
  return { entity, version, variant: utf8.decode(from.bytes(from.remaining)) };
}

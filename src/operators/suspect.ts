/**
 * Suspected duplicates: an SDK's retry under a new event_id. The key is who, what and the second of the event time; what
 * is found twice is copied to `.duplicates` and stays accepted.
 */
import type { SeededHash } from '../state/hash.ts';
import type { Stream } from '../topology/types.ts';
import type { DecodedEvent } from './decode.ts';

const SECOND_MS = 1000;
const ABSENT = 0;
const PRESENT = 1;

/** The words of a suspect's key; reused. */
const words = new Uint32Array(9);

/** Puts the key of this event into the hash's hi and lo; false when nothing ties it to somebody (an impression without a user). */
export function suspectKey(stream: Stream, event: DecodedEvent, hash: SeededHash): boolean {
  if (stream === 'impressions' && !event.hasUser) return false;
  const who = stream === 'impressions' ? event.userId : event.unitId;
  hash.bytes(event.entityId.bytes, event.entityId.start, event.entityId.end);
  words[0] = hash.hi;
  words[1] = hash.lo;
  hash.bytes(who.bytes, who.start, who.end);
  words[2] = hash.hi;
  words[3] = hash.lo;
  words[4] = ABSENT;
  words[5] = 0;
  words[6] = 0;
  if (stream === 'impressions' && event.hasSurface) {
    hash.bytes(event.surface.bytes, event.surface.start, event.surface.end);
    words[4] = PRESENT;
    words[5] = hash.hi;
    words[6] = hash.lo;
  }
  const second = Math.floor(event.eventTs / SECOND_MS);
  words[7] = second >>> 0;
  words[8] = Math.floor(second / 4294967296);
  hash.words(words, words.length);
  return true;
}

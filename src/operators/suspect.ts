/**
 * Suspected duplicates: an SDK's retry under a new event_id. The key is who, what and the second of the event time; what
 * is found twice is copied to `.duplicates` and stays accepted.
 */
import type { SeededHash } from '../state/hash.ts';
import type { Stream } from '../topology/types.ts';
import type { DecodedEvent } from './decode.ts';

const SECOND_MS = 1000;
/** An id has fewer bytes, so that its length and that of the surface make one word. */
const ID_LENGTH_BITS = 11;
/** Longer than any surface. */
const NO_SURFACE = -1;

/** Whether something ties the event to somebody: an impression may have no user. */
export const isTied = (stream: Stream, { hasUser }: DecodedEvent): boolean => stream !== 'impressions' || hasUser;

/**
 * Puts the key of this event into the hash's hi and lo, where the hash of its entity must stand before; false when nothing
 * ties it to somebody (an impression without a user). Keys of times 136 years apart may be the same: none lives that long.
 */
export function suspectKey(stream: Stream, event: DecodedEvent, hash: SeededHash): boolean {
  const isImpression = stream === 'impressions';
  if (!isTied(stream, event)) return false;
  const { surface, hasSurface } = event;
  const who = isImpression ? event.userId : event.unitId;
  const surfaceLength = isImpression && hasSurface ? surface.end - surface.start : NO_SURFACE;
  hash.begin(hash.hi, hash.lo);
  hash.addWord(Math.floor(event.eventTs / SECOND_MS));
  hash.addWord((surfaceLength << ID_LENGTH_BITS) | (who.end - who.start));
  hash.add(who.bytes, who.start, who.end);
  if (surfaceLength >= 0) hash.add(surface.bytes, surface.start, surface.end);
  hash.end();
  return true;
}

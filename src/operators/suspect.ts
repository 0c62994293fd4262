/**
 * Suspected duplicates: an SDK's retry under a new event_id. The key is who, what and the second of the event time; what
 * is found twice is copied to `.duplicates` and stays accepted.
 */
import type { SeededHash } from '../state/hash.ts';
import type { Stream } from '../topology/types.ts';
import type { DecodedEvent } from './decode.ts';

const SECOND_MS = 1000;
const TWO_32 = 4294967296;
/** Longer than any surface. */
const NO_SURFACE = 0xffff_ffff;

/**
 * Puts the key of this event into the hash's hi and lo, where the hash of its entity must stand before; false when nothing
 * ties it to somebody (an impression without a user).
 */
export function suspectKey(stream: Stream, event: DecodedEvent, hash: SeededHash): boolean {
  const isImpression = stream === 'impressions';
  if (isImpression && !event.hasUser) return false;
  const { hi, lo } = hash;
  const who = isImpression ? event.userId : event.unitId;
  const second = Math.floor(event.eventTs / SECOND_MS);
  hash.begin();
  hash.addWord(hi);
  hash.addWord(lo);
  hash.addWord(second);
  hash.addWord(second / TWO_32);
  hash.add(who.bytes, who.start, who.end);
  if (isImpression) {
    const { bytes, start, end } = event.surface;
    if (event.hasSurface) hash.add(bytes, start, end);
    else hash.addWord(NO_SURFACE);
  }
  hash.end();
  return true;
}

/** From when on quarter hours and hours are kept. */
import type { Sources } from './evaluate-sources.ts';
import type { Stream } from './types.ts';

const DAY_MS = 86_400_000;
/** Room for the offsets of zones: a local day ends at most 12 h after its UTC day. */
const ZONE_SLACK_MS = 2 * DAY_MS;
/**
 * A source that has never accepted anything has no watermark that would refuse old records. So that a first load of old
 * data there finds its hours, they are kept so much longer; not for ever, since a partition may well stay empty.
 */
const UNSEEN_SLACK_MS = 30 * DAY_MS;

/** Whole days of event time; null while a source has not been heard of. */
export function keptFromMs(sources: Sources, stream: Stream, retentionMs: number): number | null {
  const lowest = sources.floorMs(stream);
  if (lowest === null) return null;
  const kept = retentionMs + ZONE_SLACK_MS + (sources.someUnseen(stream) ? UNSEEN_SLACK_MS : 0);
  return Math.floor((lowest - kept) / DAY_MS) * DAY_MS;
}

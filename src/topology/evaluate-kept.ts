/** From when on quarter hours and hours are kept. */
import type { HourKind } from './evaluate-hours.ts';
import type { Sources } from './evaluate-sources.ts';
import { CELLS, type CellName } from './partials.ts';
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

/** Cells of hours that are forgotten together; all others live as long as what they belong to. */
export const CELLS_OF_HOURS = {
  spend: ['spend', 'spendEvidence', 'surfaceSpend'],
  exposure: ['units', 'exposureEvidence'],
} as const satisfies Record<HourKind, readonly CellName[]>;

const KIND_OF = new Map<CellName, HourKind>(
  (['spend', 'exposure'] as const).flatMap((kind) => CELLS_OF_HOURS[kind].map((name) => [name, kind] as const)),
);

/** Whether a cell's time is over before what is kept. */
export function isForgotten(name: CellName, time: number, floorMs: Record<HourKind, number>): boolean {
  const kind = KIND_OF.get(name);
  return kind !== undefined && (time + 1) * CELLS[name].slotMs <= floorMs[kind];
}

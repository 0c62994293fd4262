/**
 * The same totals an offset apart: one side has put its hours into another zone. Whole hours only: a shift of 30 or 45 minutes
 * mixes neighbouring hours, which hourly totals cannot tell from anything else.
 */
import { type ComparedHour, HOUR_MS } from './types.ts';

/** Zones reach from −12 to +14 h; two of them may be further apart, which is not looked for. */
const MAX_OFFSET_HOURS = 14;
/** Fewer drifted hours with a partner say nothing. */
const LEAST_HOURS = 3;

/** What an offset leaves of an hour's difference, at most. */
const LEFT = 0.2;

/**
 * Starts of the drifted hours that the truth has at one and the same offset, or none. A truth that is silent for some hours of an even
 * campaign has the like of each of them some hours before: so an hour speaks for an offset only where the truth's hour there is not
 * the stream's own of that time. Of the drifted hours that have a partner in the compared stretch, at least half must speak, and
 * `share` of their difference. One whose partner lies outside is left to other reasons.
 */
export function timezoneHours(hours: readonly ComparedHour[], share: number): ReadonlySet<number> {
  const compared = hours.filter(({ state }) => state === 'matched' || state === 'drifted');
  const drifted = compared.filter(({ state }) => state === 'drifted');
  let best: ReadonlySet<number> = new Set();
  if (drifted.length < LEAST_HOURS) return best;
  const byHour = new Map(compared.map((hour) => [hour.hourMs, hour]));
  for (let offset = -MAX_OFFSET_HOURS; offset <= MAX_OFFSET_HOURS; offset++) {
    if (offset === 0 || !movesOnly(compared, offset, share)) continue;
    const found = speakingAt(drifted, { byHour, offset, share });
    if (found.size > best.size) best = found;
  }
  return best;
}

/** A shift moves money, it makes none: but for what it moves over the ends of the stretch. */
function movesOnly(compared: readonly ComparedHour[], offset: number, share: number): boolean {
  const reach = Math.abs(offset) * HOUR_MS;
  const [firstMs, lastMs] = [compared[0].hourMs, compared[compared.length - 1].hourMs];
  let [stream, truth, ends] = [0, 0, 0];
  for (const { hourMs, stream: ours, truth: theirs } of compared) {
    stream += ours?.raw.amount ?? 0;
    truth += theirs?.amount ?? 0;
    if (hourMs < firstMs + reach || hourMs > lastMs - reach) ends += Math.max(ours?.raw.amount ?? 0, theirs?.amount ?? 0);
  }
  return Math.abs(stream - truth) <= ends + (1 - share) * Math.min(stream, truth);
}

function speakingAt(
  drifted: readonly ComparedHour[],
  { byHour, offset, share }: { byHour: ReadonlyMap<number, ComparedHour>; offset: number; share: number },
): ReadonlySet<number> {
  const speaking = new Set<number>();
  let [partners, all, spoken] = [0, 0, 0];
  for (const { hourMs, stream, delta } of drifted) {
    const partner = byHour.get(hourMs + offset * HOUR_MS);
    if (partner === undefined) continue;
    partners++;
    const size = Math.abs(delta.amount);
    all += size;
    const [counted, theirs] = [stream?.raw.amount ?? 0, partner.truth?.amount ?? 0];
    // What came too late for the stream is in the truth's hour too.
    const apart = Math.min(Math.abs(counted - theirs), Math.abs(counted + (stream?.evidence.late ?? 0) - theirs));
    const isThere = apart <= size * LEFT;
    if (!isThere || partner.state !== 'drifted') continue;
    speaking.add(hourMs);
    spoken += size;
  }
  const isEnough = partners >= LEAST_HOURS && partners * 2 >= drifted.length && speaking.size * 2 >= partners && spoken >= share * all;
  return isEnough ? speaking : new Set();
}

/**
 * The same totals an offset apart: one side has put its hours into another zone. Whole hours only: a shift of 30 or 45 minutes
 * mixes neighbouring hours, which hourly totals cannot tell from anything else.
 */
import { type ComparedHour, HOUR_MS } from './types.ts';

/** Zones reach from −12 to +14 h; two of them may be further apart, which is not looked for. */
const MAX_OFFSET_HOURS = 14;
/** Fewer drifted hours with a partner say nothing. */
const LEAST_HOURS = 3;

/**
 * Starts of the drifted hours that the truth has at one and the same offset, or none: the offset must explain `share` of the
 * difference of all drifted hours that have a partner in the compared stretch, at least half of which must have one.
 */
export function timezoneHours(hours: readonly ComparedHour[], share: number): ReadonlySet<number> {
  const compared = hours.filter(({ state }) => state === 'matched' || state === 'drifted');
  const drifted = compared.filter(({ state }) => state === 'drifted');
  const none = new Set<number>();
  if (drifted.length < LEAST_HOURS || !sameTotals(compared, share)) return none;
  const truth = new Map(compared.map((hour) => [hour.hourMs, hour.truth?.amount ?? 0]));
  const [first, last] = [compared[0].hourMs, compared[compared.length - 1].hourMs];
  let best = none;
  for (let offset = -MAX_OFFSET_HOURS; offset <= MAX_OFFSET_HOURS; offset++) {
    if (offset === 0) continue;
    const found = explainedAt(drifted, (hourMs) => {
      const at = hourMs + offset * HOUR_MS;
      return at < first || at > last ? null : (truth.get(at) ?? 0);
    });
    if (found !== null && found.residual <= (1 - share) * found.total && found.hours.size > best.size) best = found.hours;
  }
  return best;
}

/** A shift moves money, it makes none: but for what it moves over the ends of the stretch. */
function sameTotals(compared: readonly ComparedHour[], share: number): boolean {
  let [stream, truth] = [0, 0];
  for (const hour of compared) {
    stream += hour.stream?.raw.amount ?? 0;
    truth += hour.truth?.amount ?? 0;
  }
  return Math.min(stream, truth) >= (1 - (1 - share) * 2) * Math.max(stream, truth);
}

function explainedAt(
  drifted: readonly ComparedHour[],
  truthAt: (hourMs: number) => number | null,
): { residual: number; total: number; hours: Set<number> } | null {
  const hours = new Set<number>();
  let [residual, total, partners] = [0, 0, 0];
  for (const { hourMs, stream, delta } of drifted) {
    const partner = truthAt(hourMs);
    if (partner === null) {
      hours.add(hourMs); // at the end of the stretch: its partner is outside
      continue;
    }
    partners++;
    const apart = Math.abs((stream?.raw.amount ?? 0) - partner);
    residual += apart;
    total += Math.abs(delta.amount);
    if (apart <= Math.abs(delta.amount) * 0.2) hours.add(hourMs);
  }
  return partners < LEAST_HOURS || partners * 2 < drifted.length ? null : { residual, total, hours };
}

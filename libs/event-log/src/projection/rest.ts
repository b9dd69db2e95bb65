/** Of the time a fifth is left, in this process and in the store's. */
const TIMES_AS_LONG = 4;
/** Further behind the log than this, a projection takes its full share again. */
const BEHIND_MS = 10_000;

/** How long a projection rests at most after a transaction that took so long and began so far behind the log. */
export function restMs({ tookMs, behindMs }: { tookMs: number; behindMs: number }): number {
  return Math.max(0, Math.min(TIMES_AS_LONG * tookMs, BEHIND_MS - behindMs));
}

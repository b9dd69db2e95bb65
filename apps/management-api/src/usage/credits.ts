/**
 * What monitoring costs: one credit per 144 minutes and monitored account, so ten a day, accruing continuously. It is
 * derived from the periods an account was monitored in, and is stored nowhere.
 */
export const SECONDS_PER_CREDIT = 144 * 60;

/** A stretch of time an account was monitored in; it still is when it has no end. */
export interface Period {
  startedAt: Date;
  endedAt: Date | null;
}

/** Part of the time: from `since` (null: from the beginning) up to, and without, `until`. */
export interface Window {
  since: Date | null;
  until: Date;
}

/** Seconds of the window in which the account was monitored. */
export function monitoredSeconds(periods: readonly Period[], { since, until }: Window): number {
  const milliseconds = periods.reduce((sum, { startedAt, endedAt }) => {
    const from = Math.max(startedAt.getTime(), since?.getTime() ?? -Infinity);
    const to = Math.min(endedAt?.getTime() ?? Infinity, until.getTime());
    return sum + Math.max(0, to - from);
  }, 0);
  return milliseconds / 1_000;
}

/** To a ten-thousandth, which is less than a second. */
export function toCredits(seconds: number): number {
  return Math.round((seconds / SECONDS_PER_CREDIT) * 10_000) / 10_000;
}

/** A stream may name its own first delay (`retry:`), but not so short a one that we would hammer it. */
const FIRST_MS = 1_000;
const LEAST_MS = 100;
const MOST_MS = 60_000;
const JITTER = 0.2;

/**
 * How long to wait before the next connection, after `attempt` failures in a row (from 1): doubling from one second, or
 * from what the stream asked for, up to a minute, and a fifth more or less.
 */
export function retryDelayMs(attempt: number, retryMs: number | undefined, random: number): number {
  const firstMs = Math.min(Math.max(retryMs ?? FIRST_MS, LEAST_MS), MOST_MS);
  const delayMs = Math.min(firstMs * 2 ** (attempt - 1), MOST_MS);
  return Math.round(Math.min(delayMs * (1 - JITTER + 2 * JITTER * random), MOST_MS));
}

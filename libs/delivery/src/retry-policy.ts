import type { RetryPolicy } from '@posthaste/contracts';

type Preset = Extract<RetryPolicy, { preset: string }>['preset'];

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/**
 * Delays before each retry; the first attempt is always made at once, so a policy of n delays makes n + 1 attempts.
 *
 * `ada` is the schedule its vendor documents (over 27 h 35 min); `standard-webhooks` the one the specification gives
 * as its example (75 h 35 min); `middesk` ten retries over about three days, of which the vendor documents only
 * the count and the span.
 */
const presets: Record<Preset, readonly number[]> = {
  ada: [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR],
  'standard-webhooks': [
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
  ],
  middesk: [
    15 * SECOND,
    1 * MINUTE,
    4 * MINUTE,
    15 * MINUTE,
    45 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    20 * HOUR,
    34 * HOUR,
  ],
  none: [],
};

export function retryDelaysMs(policy: RetryPolicy): readonly number[] {
  if ('preset' in policy) return presets[policy.preset];
  return policy.scheduleSeconds.map((seconds) => seconds * SECOND);
}

/** How long after acceptance the last attempt of a policy may be made, without jitter. */
export function policySpanMs(policy: RetryPolicy): number {
  return retryDelaysMs(policy).reduce((sum, delay) => sum + delay, 0);
}

import type { AttemptErrorClass, Decision, RetryPolicy } from '@posthaste/contracts';
import { retryDelaysMs } from './retry-policy.js';

/** What came of one attempt. A failure is a value: nothing about it is exceptional. */
export type AttemptOutcome =
  | { kind: 'succeeded'; status: number }
  | {
      kind: 'failed';
      class: AttemptErrorClass;
      status?: number | undefined;
      /** What the receiver asked for in `Retry-After`, already turned into a delay (`parseRetryAfter`). */
      retryAfterMs?: number | undefined;
    };

export interface Attempted {
  outcome: AttemptOutcome;
  /** The attempt's number, from 1. */
  attempt: number;
  policy: RetryPolicy;
  /** Milliseconds since 1970, when the attempt ended. */
  now: number;
  /** Uniform in [0, 1). */
  random: number;
}

/** Below this a delay is kept exact: jitter on five seconds would help nobody. */
const JITTER_FROM_MS = 5 * 60_000;
const JITTER_SHARE = 0.2;
/** A receiver may stretch a delay to twice the step, or to an hour where the step is short. */
const RETRY_AFTER_CEILING_MS = 3_600_000;

/** Decides what follows an attempt: it was delivered, it is owed again at a time, or the policy has no more. */
export function decide({ outcome, attempt, policy, now, random }: Attempted): Decision {
  if (outcome.kind === 'succeeded') return { kind: 'delivered' };
  const stepMs = retryDelaysMs(policy)[attempt - 1];
  if (stepMs === undefined) return { kind: 'exhausted' };
  const spread = stepMs >= JITTER_FROM_MS ? stepMs * JITTER_SHARE * (2 * random - 1) : 0;
  const asked = outcome.retryAfterMs ?? 0;
  const ceilingMs = Math.max(2 * stepMs, RETRY_AFTER_CEILING_MS);
  const delayMs = asked > stepMs ? Math.min(asked, ceilingMs) : stepMs + spread;
  return { kind: 'retry', at: Math.round(now + delayMs) };
}

const DELTA_SECONDS = /^\d{1,10}$/;
/** The preferred HTTP date (RFC 9110 section 5.6.7); the two obsolete forms are not worth a parser. */
const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * The delay a `Retry-After` header asks for, in milliseconds from `now`; undefined when it is absent, in the past, or
 * not one of the two forms of RFC 9110 section 10.2.3. Only the first value counts when it was sent several times.
 */
export function parseRetryAfter(header: string | string[] | undefined, now: number): number | undefined {
  const text = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  if (DELTA_SECONDS.test(text)) return Number(text) * 1000;
  if (!IMF_FIXDATE.test(text)) return undefined;
  const delayMs = Date.parse(text) - now;
  return delayMs > 0 ? delayMs : undefined;
}

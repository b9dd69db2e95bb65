import type { AttemptErrorClass, Decision, RetryPolicy } from '@posthaste/contracts';
import { retryDelaysMs } from './retry-policy.js';

/** What a receiver may ask for in its answer with the header `webhook-delivery`. */
export type ReceiverWish = 'disable' | 'abort-message';

/** What came of one attempt. A failure is a value: nothing about it is exceptional. */
export type AttemptOutcome =
  | { kind: 'succeeded'; status: number; wish?: ReceiverWish | undefined }
  | {
      kind: 'failed';
      class: AttemptErrorClass;
      /** Absent: there was no answer. */
      status?: number | undefined;
      wish?: ReceiverWish | undefined;
      /** What the receiver asked for in `Retry-After`, already turned into a delay (`parseRetryAfter`). */
      retryAfterMs?: number | undefined;
    };

export interface Attempted {
  outcome: AttemptOutcome;
  /** The attempt's number, from 1. */
  attempt: number;
  /** Somebody asked for it: it is one attempt, and the policy's steps are not for it. */
  isRequested?: boolean;
  policy: RetryPolicy;
  /** Milliseconds since 1970, when the attempt ended. */
  now: number;
  /** Uniform in [0, 1). */
  random: number;
}

const GONE = 410;
/** Below this a delay is kept exact, unless the policy says how it varies: jitter on five seconds would help nobody. */
const JITTER_FROM_MS = 5 * 60_000;
const JITTER_SHARE = 0.2;
/** A receiver may stretch a delay to twice the step, or to an hour where the step is short. */
const RETRY_AFTER_CEILING_MS = 3_600_000;

/**
 * Decides what follows an attempt. In this order:
 * - a 2xx is delivered; with `webhook-delivery: disable` it is the endpoint's last
 * - 410, or `webhook-delivery: disable`: the endpoint wants nothing more, and this delivery ends
 * - `webhook-delivery: abort-message`: it does not want this one
 * - an answer the policy does not retry, no step left, or an attempt that was asked for: exhausted
 * - else a retry after the policy's step, or later if the receiver asked for it with `Retry-After`
 *
 * Otherwise it makes no difference why the attempt was made: a replay that meets a 410 has learnt the same as a first one.
 */
export function decide({ outcome, attempt, isRequested, policy, now, random }: Attempted): Decision {
  if (outcome.kind === 'succeeded') {
    return outcome.wish === 'disable' ? { kind: 'delivered', endpointGone: true } : { kind: 'delivered' };
  }
  if (outcome.status === GONE || outcome.wish === 'disable') {
    return { kind: 'cancelled', reason: 'endpoint_gone' };
  }
  if (outcome.wish === 'abort-message') return { kind: 'cancelled', reason: 'receiver_aborted' };
  const stepMs = isRequested ? undefined : retryDelaysMs(policy)[attempt - 1];
  if (stepMs === undefined || !isRetried(policy, outcome.status)) return { kind: 'exhausted' };
  return { kind: 'retry', at: Math.round(now + delayMs(policy, stepMs, outcome.retryAfterMs, random)) };
}

/** Whether the policy retries an answer of this status; without an answer it always does. */
function isRetried({ retryStatuses }: RetryPolicy, status: number | undefined): boolean {
  if (retryStatuses === undefined || status === undefined) return true;
  return retryStatuses.some((entry) => entry === status || entry === `${Math.floor(status / 100)}xx`);
}

/**
 * `Retry-After` counts on every answer that is not a success, whatever its status: it can only make us wait longer,
 * and never longer than the ceiling. Jitter then only adds to it: nobody is asked again before the time they named.
 */
function delayMs(
  { jitter }: RetryPolicy,
  stepMs: number,
  askedMs: number | undefined,
  random: number,
): number {
  const share = jitter ?? (stepMs >= JITTER_FROM_MS ? JITTER_SHARE : 0);
  const spreadMs = stepMs + stepMs * share * (2 * random - 1);
  if (askedMs === undefined) return spreadMs;
  const ceilingMs = Math.max(2 * stepMs, RETRY_AFTER_CEILING_MS);
  return Math.max(spreadMs, stepMs, Math.min(askedMs, ceilingMs));
}

/** What the header `webhook-delivery` asks for; undefined when it is absent or says nothing we know. */
export function parseReceiverWish(header: string | string[] | undefined): ReceiverWish | undefined {
  if (header === undefined) return undefined;
  const words = String(header)
    .toLowerCase()
    .split(',')
    .map((word) => word.trim());
  // Who asks for both wants nothing more at all.
  if (words.includes('disable')) return 'disable';
  return words.includes('abort-message') ? 'abort-message' : undefined;
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

import {
  type AttemptErrorClass,
  attemptErrors,
  attemptId,
  type DeliveryAttempted,
  isRequested,
  type WireProfile,
} from '@posthaste/contracts';
import { type AttemptOutcome, decide, parseReceiverWish, parseRetryAfter } from '@posthaste/delivery';
import type { EgressRequest, EgressResult, GuardedClient } from '@posthaste/egress';
import { isAcknowledged, render, type Rendered } from '@posthaste/wire';
import type { KnownEndpoint } from '../config-cache/known-endpoint.js';
import type { Job } from '../intake/job.js';
import { deliveryKeyOf, type NamedJob } from '../settle/delivery-key.js';
import { scrub, type Secrets, secretsOf, shownHeaders, withToken } from './secrets.js';
import { sendAuthorized } from './send-authorized.js';
import type { TokenCache } from './token-cache.js';

/** What an attempt is made with. */
export interface Outbound {
  client: GuardedClient;
  tokens: TokenCache;
}

/** What an attempt needs to know of its job. */
export type AttemptJob = NamedJob & Pick<Job, 'payload'> & Partial<Pick<Job, 'place'>>;

/** Says that the receiver may have had this message before, and that somebody asked for it to be sent. */
const REPLAY_HEADER = 'webhook-replay';

const nothingSecret: Secrets = secretsOf({}, []);

/**
 * One attempt, from rendering to the decision what follows. The endpoint is as it is now, at least as new as when the
 * message was routed: a URL or secret changed meanwhile counts. Never rejects: what goes wrong on our side is an
 * attempt that failed for an internal reason, retried like any other.
 *
 * @param onAnswered called with the outcome once the receiver is done with, before the result is worked on
 * @param signedAt ms since 1970; another time than now only for a copy of an earlier request
 */
export async function makeAttempt(
  outbound: Outbound,
  job: AttemptJob,
  endpoint: KnownEndpoint,
  onAnswered: (outcome: AttemptOutcome) => void,
  signedAt?: number,
): Promise<DeliveryAttempted> {
  const { state } = endpoint;
  const startedAt = Date.now();
  let secrets = nothingSecret;
  let rendered: Rendered = { headers: {}, body: job.payload };
  let result: EgressResult;
  try {
    const message = { ...job.message, payload: job.payload, position: job.place };
    secrets = endpoint.secrets();
    rendered = render(state.profile, message, endpoint.wire(), job.attempt, signedAt ?? startedAt);
    if (isRequested(job.trigger)) rendered.headers[REPLAY_HEADER] = 'true';
    const certificate = endpoint.clientCertificate() ?? undefined;
    const timeoutMs = state.timeoutSeconds * 1000;
    const request: EgressRequest = { url: state.url, ...rendered, timeoutMs, certificate };
    const oauth = endpoint.oauth(startedAt);
    if (oauth === null) result = await outbound.client.send(request);
    else {
      const sent = await sendAuthorized(outbound, oauth, request);
      result = sent.result;
      secrets = sent.tokens.reduce(withToken, secrets);
    }
  } catch (error) {
    const word = error instanceof Error ? error.name : 'unknown';
    const message = `${attemptErrors.internal} (${word})`;
    result = { kind: 'failed', class: 'internal', message, timings: { totalMs: Date.now() - startedAt } };
  }
  const endedAt = Date.now();
  const outcome = outcomeOf(state.profile, result, endedAt);
  onAnswered(outcome);
  return {
    type: 'DeliveryAttempted',
    v: 1,
    ...deliveryKeyOf(job),
    id: attemptId(job.delivery, job.attempt),
    startedAt,
    endpointVersion: state.version,
    profile: state.profile,
    outcome: outcome.kind,
    ...(outcome.kind === 'failed' ? { error: errorOf(outcome.class, result) } : {}),
    request: { url: state.url, headers: shownHeaders(rendered.headers, secrets) },
    ...(result.kind === 'response' ? { response: responseOf(scrub(result, secrets)) } : {}),
    ...(result.address === undefined ? {} : { address: result.address }),
    ...(result.tls === undefined ? {} : { tls: result.tls }),
    timings: result.timings,
    decision: decide({
      outcome,
      attempt: job.attempt,
      isRequested: isRequested(job.trigger),
      policy: state.retryPolicy,
      now: endedAt,
      random: Math.random(),
    }),
  };
}

function outcomeOf(profile: WireProfile, result: EgressResult, now: number): AttemptOutcome {
  if (result.kind === 'failed')
    return { kind: 'failed', class: result.class, retryAfterMs: result.retryAfterMs };
  const { status, headers } = result;
  const wish = parseReceiverWish(headers['webhook-delivery']);
  if (isAcknowledged(profile, status)) return { kind: 'succeeded', status, wish };
  return {
    kind: 'failed',
    class: status >= 300 && status < 400 ? 'http_redirect' : 'http_status',
    status,
    wish,
    retryAfterMs: parseRetryAfter(headers['retry-after'], now),
  };
}

function errorOf(
  attemptClass: AttemptErrorClass,
  result: EgressResult,
): { class: AttemptErrorClass; message: string } {
  const message = result.kind === 'failed' ? result.message : attemptErrors[attemptClass];
  return { class: attemptClass, message };
}

function responseOf(result: EgressResult & { kind: 'response' }): NonNullable<DeliveryAttempted['response']> {
  const { status, headers, body, bodyTruncated } = result;
  return { status, headers, body: body.toString('base64'), bodyTruncated };
}

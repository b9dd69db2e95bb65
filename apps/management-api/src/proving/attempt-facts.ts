import {
  attemptErrors,
  attemptId,
  type DeliveryAttempted,
  deliveryId,
  type Endpoint,
  newId,
} from '@posthaste/contracts';
import { type AttemptOutcome, decide } from '@posthaste/delivery';

/** An endpoint whose attempts a test makes up, with its account's tenant. */
export type Attempted = Pick<Endpoint, 'id' | 'account_id' | 'url' | 'retry_policy'> & { tenant: string };

/** What a dispatcher would have written at a time of the test's own. */
export function attemptAt(
  startedAt: number,
  endpoint: Attempted,
  outcome: AttemptOutcome,
  { message = newId('message', startedAt), attempt = 1 } = {},
): DeliveryAttempted {
  const delivery = deliveryId(message, endpoint.id);
  const policy = endpoint.retry_policy;
  return {
    type: 'DeliveryAttempted',
    v: 1,
    delivery,
    message,
    tenant: endpoint.tenant,
    account: endpoint.account_id,
    endpoint: endpoint.id,
    eventType: 'invoice.paid',
    acceptedAt: startedAt,
    attempt,
    trigger: attempt === 1 ? 'publish' : 'retry',
    id: attemptId(delivery, attempt),
    startedAt,
    endpointVersion: 1,
    profile: 'standard',
    outcome: outcome.kind,
    ...(outcome.kind === 'failed'
      ? { error: { class: outcome.class, message: attemptErrors[outcome.class] } }
      : {}),
    request: { url: endpoint.url, headers: {} },
    timings: { totalMs: 20 },
    decision: decide({
      outcome,
      attempt,
      policy: 'preset' in policy ? policy : { scheduleSeconds: policy.schedule_seconds },
      now: startedAt + 20,
      random: 0.5,
    }),
  };
}

/** Every attempt of one message to an endpoint that always answers alike, as the policy has them made. */
export function attemptsFrom(
  startedAt: number,
  endpoint: Attempted,
  outcome: AttemptOutcome,
): DeliveryAttempted[] {
  const message = newId('message', startedAt);
  const attempts: DeliveryAttempted[] = [];
  for (let at: number | undefined = startedAt; at !== undefined;) {
    const made: DeliveryAttempted = attemptAt(at, endpoint, outcome, {
      message,
      attempt: attempts.length + 1,
    });
    attempts.push(made);
    at = made.decision.kind === 'retry' ? made.decision.at : undefined;
  }
  return attempts;
}

export const answered: AttemptOutcome = { kind: 'succeeded', status: 200 };
export const refused: AttemptOutcome = { kind: 'failed', class: 'http_status', status: 500 };
export const gone: AttemptOutcome = { kind: 'failed', class: 'http_status', status: 410 };

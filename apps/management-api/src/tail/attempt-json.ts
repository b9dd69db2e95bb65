import type { Attempt, DeliveryAttempted, TailedAttempt } from '@posthaste/contracts';
import { attemptView } from '../history/views.js';

/** An attempt as the tail shows it: as in lists of attempts, with what it belongs to. */
export function attemptJson(event: DeliveryAttempted, status: TailedAttempt['delivery_status']): Buffer {
  const attempt = attemptView({
    id: event.id,
    delivery: event.delivery,
    number: event.attempt,
    trigger: event.trigger,
    started_at: event.startedAt,
    duration_ms: event.timings.totalMs,
    outcome: event.outcome,
    error_class: event.error?.class,
    error_message: event.error?.message,
    request_url: event.request.url,
    request_headers_json: JSON.stringify(event.request.headers),
    response_status: event.response?.status,
    response_headers_json: event.response && JSON.stringify(event.response.headers),
    response_body: event.response && Buffer.from(event.response.body, 'base64'),
    response_body_truncated: event.response?.bodyTruncated,
    address: event.address,
    tls_json: event.tls && JSON.stringify(event.tls),
    timings_json: JSON.stringify(event.timings),
    endpoint_version: event.endpointVersion,
    profile: event.profile,
    next_attempt_at: event.decision.kind === 'retry' ? event.decision.at : undefined,
  });
  const belongs: Omit<TailedAttempt, keyof Attempt> = {
    delivery_id: event.delivery,
    message_id: event.message,
    account_id: event.account,
    endpoint_id: event.endpoint,
    event_type: event.eventType,
    delivery_status: status,
  };
  // JSON leaves out what is undefined: nobody knows these yet.
  const unknown = { requested: undefined, shadow: undefined };
  return Buffer.from(JSON.stringify({ ...attempt, ...unknown, ...belongs }));
}

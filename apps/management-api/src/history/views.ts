import { isUtf8 } from 'node:buffer';
import type {
  Attempt,
  Delivery,
  HistoryAttempt,
  HistoryDelivery,
  HistoryMessage,
  ListedAttempt,
  Message,
  ShadowAttempted,
  ShadowReport,
  Timings,
  TlsFacts,
} from '@posthaste/contracts';

// What audit-log answers, in the words of the API. gRPC leaves out what is zero or false.

export function messageView(message: HistoryMessage): Message {
  return {
    id: message.id,
    account_id: message.account,
    event_type: message.event_type,
    channels: message.channels,
    tags: message.tags,
    content_type: message.content_type,
    payload_bytes: message.payload_bytes ?? 0,
    payload_shredded_at: timeOrNull(message.shredded_at),
    accepted_at: timeOf(message.accepted_at),
    config_version: message.config_version ?? 0,
    stale_config: message.stale_config ?? false,
    deliveries: message.deliveries ?? 0,
  };
}

export function deliveryView(delivery: HistoryDelivery): Delivery {
  return {
    id: delivery.id,
    message_id: delivery.message,
    account_id: delivery.account,
    endpoint_id: delivery.endpoint,
    event_type: delivery.event_type,
    status: delivery.status as Delivery['status'],
    attempts: delivery.attempts ?? 0,
    accepted_at: timeOf(delivery.accepted_at),
    next_attempt_at: timeOrNull(delivery.next_attempt_at),
    settled_at: timeOrNull(delivery.settled_at),
    last_status_code: delivery.last_status_code ?? null,
    last_error_class: (delivery.last_error_class ?? null) as Delivery['last_error_class'],
    reason: delivery.reason ?? null,
  };
}

export function attemptView(attempt: HistoryAttempt): Attempt {
  const timings = JSON.parse(attempt.timings_json) as Timings;
  return {
    id: attempt.id,
    number: attempt.number,
    trigger: attempt.trigger as Attempt['trigger'],
    started_at: timeOf(attempt.started_at),
    duration_ms: attempt.duration_ms ?? 0,
    timings: {
      dns_ms: timings.dnsMs ?? null,
      connect_ms: timings.connectMs ?? null,
      tls_ms: timings.tlsMs ?? null,
      first_byte_ms: timings.firstByteMs ?? null,
      total_ms: timings.totalMs,
    },
    outcome: attempt.outcome as Attempt['outcome'],
    error:
      attempt.error_class === undefined
        ? null
        : {
            class: attempt.error_class as NonNullable<Attempt['error']>['class'],
            message: attempt.error_message ?? '',
          },
    request: { url: attempt.request_url, headers: headersOf(attempt.request_headers_json) },
    response:
      attempt.response_status === undefined
        ? null
        : responseView(
            attempt.response_status,
            headersOf(attempt.response_headers_json ?? '{}'),
            attempt.response_body ?? Buffer.alloc(0),
            attempt.response_body_truncated ?? false,
          ),
    address: attempt.address ?? null,
    tls: attempt.tls_json === undefined ? null : (JSON.parse(attempt.tls_json) as TlsFacts),
    endpoint_version: attempt.endpoint_version ?? 0,
    profile: attempt.profile,
    next_attempt_at: timeOrNull(attempt.next_attempt_at),
    requested: requestView(attempt),
    shadow: attempt.shadow_json === undefined ? null : shadowView(attempt.shadow_json),
  };
}

export function listedAttemptView(attempt: HistoryAttempt): ListedAttempt {
  return {
    ...attemptView(attempt),
    delivery_id: attempt.delivery,
    endpoint_id: attempt.endpoint ?? '',
  };
}

function requestView({ requested_at, requested_by, replay }: HistoryAttempt): Attempt['requested'] {
  if (requested_at === undefined) return null;
  return { at: timeOf(requested_at), by: requested_by ?? '', replay_id: replay ?? null };
}

function shadowView(json: string): ShadowReport {
  const shadow = JSON.parse(json) as ShadowAttempted;
  const { response } = shadow;
  return {
    url: shadow.url,
    started_at: timeOf(shadow.startedAt),
    duration_ms: shadow.timings.totalMs,
    outcome: shadow.outcome,
    status: response?.status ?? null,
    error: shadow.error ?? null,
    response: response
      ? responseView(
          response.status,
          response.headers,
          Buffer.from(response.body, 'base64'),
          response.bodyTruncated,
        )
      : null,
    address: shadow.address ?? null,
  };
}

function responseView(
  status: number,
  headers: NonNullable<Attempt['response']>['headers'],
  body: Buffer,
  truncated: boolean,
): NonNullable<Attempt['response']> {
  const text = textOf(body, truncated);
  return {
    status,
    headers,
    body: text ?? body.toString('base64'),
    body_encoding: text === null ? 'base64' : 'utf-8',
    body_truncated: truncated,
  };
}

/** The body as text; null when it is none. A cut through a character of two to four bytes does not make it binary. */
function textOf(body: Buffer, truncated: boolean): string | null {
  const longestCut = truncated ? Math.min(3, body.length) : 0;
  for (let cut = 0; cut <= longestCut; cut++) {
    const rest = body.subarray(0, body.length - cut);
    if (isUtf8(rest)) return rest.toString();
  }
  return null;
}

function headersOf(json: string): Attempt['request']['headers'] {
  return JSON.parse(json) as Attempt['request']['headers'];
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function timeOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : timeOf(ms);
}

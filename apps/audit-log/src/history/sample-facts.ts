import {
  type AcceptedMessage,
  attemptId,
  deliveryId,
  type DeliveryAttempted,
  type DeliveryCancelled,
  type DeliveryDeferred,
  type DeliveryRequested,
  newId,
  type ShadowAttempted,
} from '@posthaste/contracts';

/** Facts for specs, with every field filled. Times are near `at`; ids follow from their parts as in the real log. */
export interface Sample {
  tenant: string;
  account: string;
  endpoint: string;
  at: number;
}

export function sampleMessage(sample: Sample, extra: Partial<AcceptedMessage['meta']> = {}): AcceptedMessage {
  const payload = Buffer.from(JSON.stringify({ amount: 12, note: 'paid', filler: 'x'.repeat(900) }));
  const meta = {
    v: 1 as const,
    id: newId('message', sample.at),
    tenant: sample.tenant,
    account: sample.account,
    type: 'invoice.paid',
    channels: ['billing'],
    contentType: 'application/json',
    at: sample.at,
    config: 4,
    routes: [{ endpoint: sample.endpoint, version: 2 }],
    ...extra,
  };
  return { meta, payload };
}

function keyOf({ meta }: AcceptedMessage, attempt: number) {
  const endpoint = meta.routes[0]?.endpoint ?? '';
  return {
    v: 1 as const,
    delivery: deliveryId(meta.id, endpoint),
    message: meta.id,
    tenant: meta.tenant,
    account: meta.account,
    endpoint,
    eventType: meta.type,
    acceptedAt: meta.at,
    attempt,
    trigger: attempt === 1 ? ('publish' as const) : ('retry' as const),
  };
}

export function attempted(
  message: AcceptedMessage,
  attempt: number,
  decision: DeliveryAttempted['decision'],
): DeliveryAttempted {
  const key = keyOf(message, attempt);
  const succeeded = decision.kind === 'delivered';
  return {
    type: 'DeliveryAttempted',
    ...key,
    id: attemptId(key.delivery, attempt),
    startedAt: message.meta.at + attempt * 100,
    endpointVersion: 2,
    profile: 'standard',
    outcome: succeeded ? 'succeeded' : 'failed',
    ...(succeeded ? {} : { error: { class: 'http_status' as const, message: 'The endpoint answered 503.' } }),
    request: {
      url: 'https://receiver.example/hook',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Posthaste/1',
        'webhook-id': message.meta.id,
        'webhook-timestamp': '1790000000',
        'webhook-signature': 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
      },
    },
    response: {
      status: succeeded ? 200 : 503,
      headers: {
        'content-type': 'text/plain',
        date: 'Sat, 21 Nov 2026 07:00:00 GMT',
        connection: 'keep-alive',
      },
      body: Buffer.from(succeeded ? 'ok' : 'try later').toString('base64'),
      bodyTruncated: false,
    },
    address: '192.0.2.7:443',
    tls: { version: 'TLSv1.3', certificate: 'receiver.example' },
    timings: { dnsMs: 0.5, connectMs: 3.5, tlsMs: 2, firstByteMs: 7.25, totalMs: 8.5 },
    decision,
  };
}

export function deferred(message: AcceptedMessage, attempt: number, until: number): DeliveryDeferred {
  const at = message.meta.at + 50;
  return { type: 'DeliveryDeferred', ...keyOf(message, attempt), at, until, reason: 'lane_full' };
}

export function cancelled(message: AcceptedMessage, attempt: number): DeliveryCancelled {
  const at = message.meta.at + 60;
  return { type: 'DeliveryCancelled', ...keyOf(message, attempt), at, reason: 'endpoint_disabled' };
}

export function requested(message: AcceptedMessage, attempt: number, by = 'key_1'): DeliveryRequested {
  const at = message.meta.at + 70;
  return { type: 'DeliveryRequested', ...keyOf(message, attempt), trigger: 'resend', at, by };
}

/** The copy of an attempt, whose receiver refused it. */
export function shadowOf(real: DeliveryAttempted): ShadowAttempted {
  const { delivery, message, tenant, account, endpoint, eventType, acceptedAt, attempt, trigger } = real;
  return {
    type: 'ShadowAttempted',
    v: 1,
    ...{ delivery, message, tenant, account, endpoint, eventType, acceptedAt, attempt, trigger },
    startedAt: real.startedAt + 20,
    url: 'https://shadow.example/hook',
    outcome: 'failed',
    error: { class: 'http_status', message: 'The endpoint answered 500.' },
    response: {
      status: 500,
      headers: {},
      body: Buffer.from('a \0').toString('base64'),
      bodyTruncated: false,
    },
    address: '192.0.2.8:443',
    timings: { connectMs: 1, firstByteMs: 2, totalMs: 3 },
  };
}

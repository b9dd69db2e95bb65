import {
  type AcceptedMessage,
  attemptId,
  deliveryId,
  type DeliveryAttempted,
  type DeliveryCancelled,
  type DeliveryDeferred,
  type DeliveryRequested,
  EndpointState,
  newId,
} from '@posthaste/contracts';

/** Facts for specs: messages of one account, and what happened to their deliveries. */
const at = Date.now() - 3_600_000;
const tenant = newId('tenant', at);
const account = newId('account', at);

export function sampleMessage(
  endpoint: string = newId('endpoint', at),
  acceptedAt: number = at,
): AcceptedMessage {
  const id = newId('message', acceptedAt);
  const meta = {
    v: 1 as const,
    id,
    tenant,
    account,
    type: 'invoice.paid',
    contentType: 'application/json',
    at: acceptedAt,
    config: 4,
    routes: [
      { endpoint: newId('endpoint', at), version: 1 },
      { endpoint, version: 2 },
    ],
  };
  return { meta, payload: Buffer.from(JSON.stringify({ message: id })) };
}

/** The delivery of a sample message to the endpoint it was made for. */
export function deliveryOf({ meta }: AcceptedMessage): string {
  return deliveryId(meta.id, endpointOf({ meta }));
}

export function endpointOf({ meta }: Pick<AcceptedMessage, 'meta'>): string {
  return meta.routes.at(-1)?.endpoint ?? '';
}

function keyOf(message: AcceptedMessage, attempt: number) {
  return {
    v: 1 as const,
    delivery: deliveryOf(message),
    message: message.meta.id,
    tenant,
    account,
    endpoint: endpointOf(message),
    eventType: message.meta.type,
    acceptedAt: message.meta.at,
    attempt,
    trigger: attempt === 1 ? ('publish' as const) : ('retry' as const),
  };
}

export function attempted(
  message: AcceptedMessage,
  attempt: number,
  decision: DeliveryAttempted['decision'],
): DeliveryAttempted {
  const failed = decision.kind !== 'delivered';
  return {
    type: 'DeliveryAttempted',
    ...keyOf(message, attempt),
    id: attemptId(deliveryOf(message), attempt),
    startedAt: at + attempt,
    endpointVersion: 2,
    profile: 'standard',
    outcome: failed ? 'failed' : 'succeeded',
    ...(failed ? { error: { class: 'timeout' as const, message: 'The endpoint did not answer.' } } : {}),
    request: { url: 'https://receiver.example/hook', headers: {} },
    ...(failed ? {} : { response: { status: 200, headers: {}, body: '', bodyTruncated: false } }),
    timings: { totalMs: 10 },
    decision,
  };
}

export function deferred(
  message: AcceptedMessage,
  attempt: number,
  until: number,
  reason: DeliveryDeferred['reason'] = 'lane_full',
): DeliveryDeferred {
  return { type: 'DeliveryDeferred', ...keyOf(message, attempt), at, until, reason };
}

export function cancelled(message: AcceptedMessage, attempt: number): DeliveryCancelled {
  return { type: 'DeliveryCancelled', ...keyOf(message, attempt), at, reason: 'endpoint_deleted' };
}

export function requested(
  message: AcceptedMessage,
  attempt: number,
  trigger: DeliveryRequested['trigger'] = 'resend',
): DeliveryRequested {
  return { type: 'DeliveryRequested', ...keyOf(message, attempt), trigger, at: at + 500, by: 'key_1' };
}

export function configured(id: string, version: number, enabled: boolean): EndpointState {
  return EndpointState.parse({
    ...{ kind: 'endpoint', id, version, deleted: false, tenant: 't', account: 'a', config: 1, enabled },
    ...{ url: 'https://receiver.example/', profile: 'standard', eventTypes: [], channels: [], headers: {} },
    ...{ retryPolicy: { preset: 'ada' }, timeoutSeconds: 15, secrets: [] },
  });
}

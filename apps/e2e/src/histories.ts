import { createHash } from 'node:crypto';
import type { Receiver, SeenDelivery, TenantClient } from '@posthaste/test-kit';
import { Webhook } from 'standardwebhooks';
import type { DeliveryEntry, ReceivedEntry } from './oracle.js';

/** What the receiver got, with each signature checked by the reference library. */
export function receivedHistory(
  receiver: Receiver,
  endpoints: { id: string; path: string; secret: string }[],
): ReceivedEntry[] {
  const byPath = new Map(
    endpoints.map(({ id, path, secret }) => [path, { id, webhook: new Webhook(secret) }]),
  );
  return receiver.requests.map(({ path, webhookId, headers, body, status }) => {
    const endpoint = byPath.get(path);
    return {
      endpoint: endpoint?.id ?? path,
      message: webhookId,
      bodySha256: createHash('sha256').update(body).digest('hex'),
      signatureIsValid: endpoint !== undefined && isSigned(endpoint.webhook, body, headers),
      status: status ?? 0,
    };
  });
}

function isSigned(webhook: Webhook, body: Buffer, headers: Record<string, unknown>): boolean {
  try {
    webhook.verify(body.toString(), headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

/** Every delivery of the account with all its attempts, as the API shows them. */
export async function deliveryHistory(tenant: TenantClient, account: string): Promise<DeliveryEntry[]> {
  const deliveries = await tenant.deliveries(account);
  const entries: DeliveryEntry[] = [];
  const rest = [...deliveries];
  const lane = async (): Promise<void> => {
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      entries.push(await entryOf(tenant, next));
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return entries;
}

async function entryOf(tenant: TenantClient, delivery: SeenDelivery): Promise<DeliveryEntry> {
  const attempts = await tenant.attempts(delivery.id);
  return {
    message: delivery.message_id,
    endpoint: delivery.endpoint_id,
    status: delivery.status,
    attempts: attempts.map(({ number, outcome }) => ({ number, outcome })),
    attemptCount: delivery.attempts,
  };
}

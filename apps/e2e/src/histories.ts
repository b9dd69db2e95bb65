import { createHash } from 'node:crypto';
import { type Topic, topics } from '@posthaste/contracts';
import type { EventLog, StoredRecord } from '@posthaste/event-log';
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
  return receiver.requests.map(({ path, webhookId, headers, body, status, at }) => {
    const endpoint = byPath.get(path);
    return {
      endpoint: endpoint?.id ?? path,
      message: webhookId,
      bodySha256: createHash('sha256').update(body).digest('hex'),
      signatureIsValid: endpoint !== undefined && isSigned(endpoint.webhook, body, headers),
      status: status ?? 0,
      at,
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
    id: delivery.id,
    message: delivery.message_id,
    endpoint: delivery.endpoint_id,
    status: delivery.status,
    attempts: attempts.map(({ number, outcome, requested }) => {
      return { number, outcome, isRequested: requested !== null };
    }),
    attemptCount: delivery.attempts,
  };
}

/** The attempt numbers in the log's own words, of each delivery, in order. Closes the log. */
export async function attemptsInLog(log: EventLog): Promise<Map<string, number[]>> {
  const numbers = new Map<string, number[]>();
  for (const record of await recordsOf(log, topics.deliveries)) {
    const event = topics.deliveries.decode(record);
    if (event.type !== 'DeliveryAttempted') continue;
    numbers.set(event.delivery, [...(numbers.get(event.delivery) ?? []), event.attempt]);
  }
  await log.close();
  return numbers;
}

/** The trace context on each record of a message, or of all of them. Closes the log. */
export async function tracesInLog(
  log: EventLog,
  message?: string,
): Promise<{ topic: string; trace: string | undefined }[]> {
  const found: { topic: string; trace: string | undefined }[] = [];
  for (const topic of [topics.messages, topics.deliveries, topics.due]) {
    const records = await recordsOf(log, topic);
    const ours = records.filter(
      ({ meta = '', value }) => message === undefined || (meta + value.toString()).includes(message),
    );
    found.push(...ours.map(({ trace }) => ({ topic: topic.name, trace })));
  }
  await log.close();
  return found;
}

/** All there are when it is called. */
async function recordsOf(log: EventLog, topic: Pick<Topic, 'name'>): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  const following = await log.reader.follow(topic, (record) => records.push(record));
  await following.caughtUp;
  await following.close();
  return records;
}

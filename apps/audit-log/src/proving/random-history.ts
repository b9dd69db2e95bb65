import {
  type AcceptedMessage,
  deliveryId,
  type DeliveryAttempted,
  type DeliveryEvent,
  newId,
} from '@posthaste/contracts';
import { seededRandom } from '@posthaste/test-kit';
import { attempted, cancelled, deferred, sampleMessage } from '../history/sample-facts.js';

/** A random history for specs of its lists: the facts as the log has them, and as a list is to know them. */
export const random = seededRandom();
export const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
export const sometimes = <T>(value: T): T | undefined => (random.below(2) === 0 ? value : undefined);

export const at = 1_790_000_000_000;
export const tenant = newId('tenant', at);
export const [account, other] = [newId('account', at), newId('account', at)] as [string, string];
export const endpoints = [newId('endpoint', at), newId('endpoint', at), newId('endpoint', at)];
export const types = ['order.paid', 'order.sent', 'user.made'];
export const labels = ['blue', 'naïve "quoted"', 'back\\slash', 'channels', 'x y'];
export const fates = ['pending', 'delivered', 'retrying', 'exhausted', 'deferred', 'cancelled'] as const;

export interface Fact {
  message: AcceptedMessage;
  payload: unknown;
  delivery: string;
  endpoint: string;
  status: (typeof fates)[number];
  attempts: DeliveryAttempted[];
}

/** A message to one endpoint and what became of it; as facts, and as the lists are to know it. */
export function someFact(of: string, ms: number): { fact: Fact; events: DeliveryEvent[] } {
  const endpoint = pick(endpoints.slice(of === other ? 1 : 0));
  const tags = sometimes([pick(labels), pick(labels)]);
  const message = sampleMessage(
    { tenant, account: of, endpoint, at: ms },
    { type: pick(types), channels: sometimes([pick(labels)]), ...(tags ? { tags } : {}) },
  );
  const payload = pick([
    { order: { id: random.below(5), lines: [{ sku: 'A' }, { sku: pick(['A', 'B']) }] }, 'odd name': true },
    { order: { id: String(random.below(5)) }, nothing: null },
    [{ order: 1.5 }],
    'text',
  ]);
  message.payload = Buffer.from(JSON.stringify(payload));
  const status = pick(fates);
  const failure = attempted(message, 1, { kind: 'retry', at: ms + 5_000 });
  const slow: DeliveryAttempted = { ...failure, error: { class: 'timeout', message: 'slow' } };
  delete slow.response;
  const first = pick([failure, slow]);
  const attempts: DeliveryAttempted[] = {
    pending: [],
    deferred: [],
    cancelled: [],
    delivered: pick([
      [attempted(message, 1, { kind: 'delivered' })],
      [first, attempted(message, 2, { kind: 'delivered' })],
    ]),
    retrying: [first],
    exhausted: [first, { ...pick([failure, slow]), ...secondOf(message) }],
  }[status];
  const events: DeliveryEvent[] = [...attempts];
  if (status === 'deferred') events.push(deferred(message, 1, ms + 9_000));
  if (status === 'cancelled') events.push(cancelled(message, 1));
  const delivery = deliveryId(message.meta.id, endpoint);
  return { fact: { message, payload, delivery, endpoint, status, attempts }, events };
}

function secondOf(
  message: AcceptedMessage,
): Pick<DeliveryAttempted, 'attempt' | 'id' | 'startedAt' | 'decision'> {
  const second = attempted(message, 2, { kind: 'exhausted' });
  return { attempt: 2, id: second.id, startedAt: second.startedAt, decision: { kind: 'exhausted' } };
}

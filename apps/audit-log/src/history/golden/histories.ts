import { type AcceptedMessage, type DeliveryEvent, lowestId, topics } from '@posthaste/contracts';
import { attempted, cancelled, deferred, requested, sampleMessage, shadowOf } from '../sample-facts.js';

/** A record as a golden file holds it: what the log had, byte for byte. */
export interface GoldenRecord {
  topic: string;
  meta?: string;
  value: string;
}

const AT = 1_800_000_000_000;
/** An id that is the same at every recording: the time is real, the rest is no accident. */
const fixedId = (kind: 'message' | 'tenant' | 'account' | 'endpoint', n: number): string =>
  lowestId(kind, AT + n * 1_000).padEnd(kind === 'endpoint' ? 30 : 31, String(n % 10));

const endpoints = [1, 2].map((n) => fixedId('endpoint', n)) as [string, string];
const message = (n: number, extra: Partial<AcceptedMessage['meta']> = {}): AcceptedMessage =>
  sampleMessage(
    {
      tenant: fixedId('tenant', 1),
      account: fixedId('account', 1),
      endpoint: endpoints[0],
      at: AT + n * 1_000,
    },
    { id: fixedId('message', n), ...extra },
  );

const accepted = (one: AcceptedMessage): GoldenRecord => {
  const { meta, value } = topics.messages.encode(one);
  return { topic: topics.messages.name, meta: meta ?? '', value: value.toString() };
};
const told = (event: DeliveryEvent): GoldenRecord => ({
  topic: topics.deliveries.name,
  value: topics.deliveries.encode(event).value.toString(),
});

const [first, second, third] = [message(1), message(2), message(3)] as const;
const keyed = [4, 5].map((n) => message(n, { orderingKey: 'order-7' })) as [AcceptedMessage, AcceptedMessage];
const fed = message(6, { routes: [{ endpoint: endpoints[1], version: 3, feed: true }] });
const retryAt = AT + 60_000;

/**
 * What the files of this folder were recorded from, one history for each fate of a message. A later version may add
 * histories here, and records them; those that are recorded stay as they are, for installations hold such records.
 */
export const histories: Record<string, GoldenRecord[]> = {
  'delivered-at-once': [accepted(first), told(attempted(first, 1, { kind: 'delivered' }))],
  retried: [
    accepted(first),
    told(attempted(first, 1, { kind: 'retry', at: retryAt })),
    told(attempted(first, 2, { kind: 'delivered' })),
    accepted(second),
    told(attempted(second, 1, { kind: 'retry', at: retryAt })),
  ],
  exhausted: [
    accepted(first),
    told(attempted(first, 1, { kind: 'retry', at: retryAt })),
    told(attempted(first, 2, { kind: 'exhausted' })),
  ],
  'deferred-and-parked': [
    accepted(first),
    told(deferred(first, 1, retryAt)),
    told({ ...deferred(first, 1, retryAt + 5_000), reason: 'breaker_open' }),
    told(attempted(first, 1, { kind: 'delivered' })),
    accepted(second),
    told({ ...deferred(second, 1, retryAt), reason: 'rate_limited' }),
  ],
  cancelled: [
    accepted(first),
    told(cancelled(first, 1)),
    accepted(second),
    told(attempted(second, 1, { kind: 'retry', at: retryAt })),
    told({ ...cancelled(second, 2), reason: 'requested' }),
    accepted(third),
    told(attempted(third, 1, { kind: 'cancelled', reason: 'endpoint_gone' })),
  ],
  'ordered-by-key': [
    ...keyed.map(accepted),
    told({
      ...attempted(keyed[0], 1, { kind: 'retry', at: retryAt }),
      ordering: { key: 'order-7', position: 4 },
    }),
    told({
      ...deferred(keyed[1], 1, retryAt),
      reason: 'behind_key',
      ordering: { key: 'order-7', position: 5 },
    }),
    told({
      ...attempted(keyed[0], 2, { kind: 'exhausted' }),
      ordering: { key: 'order-7', position: 4, blocks: true },
    }),
  ],
  'asked-for-again': [
    accepted(first),
    told(attempted(first, 1, { kind: 'exhausted' })),
    told(requested(first, 2)),
    told({ ...attempted(first, 2, { kind: 'delivered' }), trigger: 'resend' }),
    accepted(second),
    told(cancelled(second, 1)),
    told({
      ...requested(second, 1, 'key_2'),
      trigger: 'recover',
      replay: lowestId('replay', AT).padEnd(31, '0'),
    }),
    told({ ...attempted(second, 1, { kind: 'exhausted' }), trigger: 'recover' }),
    // Asked for, and not made yet.
    told(requested(second, 2)),
  ],
  'a-record-nobody-can-read': [
    accepted(first),
    { topic: topics.deliveries.name, value: '{"type":"DeliveryForgotten","v":1}' },
    told(attempted(first, 1, { kind: 'delivered' })),
    { topic: topics.messages.name, meta: '{"v":1}', value: 'of a message without an id' },
  ],
  'shadowed-and-fed': [
    accepted(first),
    told(attempted(first, 1, { kind: 'delivered' })),
    told(shadowOf(attempted(first, 1, { kind: 'delivered' }))),
    accepted(fed),
    // Of an append that was tried again: in the log twice, in the feed once.
    accepted(fed),
  ],
};

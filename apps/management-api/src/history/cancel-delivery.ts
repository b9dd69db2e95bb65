import { type HistoryDelivery, topics } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';

/** An exhausted one may be in the way of those behind it in its ordering key; the others are over. */
const CANCELLABLE = new Set(['pending', 'retrying', 'deferred', 'exhausted']);

/**
 * Says in the log that nothing more is to be sent for a delivery; the audit entry and the event are one transaction.
 * What is being sent at that moment may still arrive, and then counts: the receiver has it.
 */
export async function cancelDelivery(changes: Changes, author: Author, row: HistoryDelivery): Promise<void> {
  if (!CANCELLABLE.has(row.status)) {
    const message = `is ${row.status} already`;
    throw new Problem('conflict', `The delivery ${message}.`, [{ pointer: ':id', code: 'settled', message }]);
  }
  await changes.make(author, async (draft) => {
    draft.tell(topics.deliveries, {
      type: 'DeliveryCancelled',
      v: 1,
      delivery: row.id,
      message: row.message,
      tenant: row.tenant,
      account: row.account,
      endpoint: row.endpoint,
      eventType: row.event_type,
      acceptedAt: row.accepted_at,
      attempt: (row.attempts ?? 0) + 1,
      trigger: 'publish',
      at: draft.at.getTime(),
      reason: 'requested',
    });
    const entity = { kind: 'delivery', id: row.id, version: 0 };
    await draft.audit(row.tenant, 'delivery.cancelled', entity, []);
  });
}

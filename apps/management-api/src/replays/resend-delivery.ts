import { type HistoryDelivery, topics } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';

const SETTLED = new Set(['delivered', 'exhausted', 'cancelled']);

/**
 * Says in the log that one more attempt of a settled delivery is owed now; the audit entry and the event are one
 * transaction. The request names the attempt by its number, so asking again before it is made asks for the same one.
 */
export async function resendDelivery(changes: Changes, author: Author, row: HistoryDelivery): Promise<void> {
  if (!SETTLED.has(row.status)) {
    const message = `is ${row.status}: an attempt is owed already`;
    throw new Problem('conflict', `The delivery ${message}.`, [{ pointer: ':id', code: 'owed', message }]);
  }
  await changes.make(author, async (draft) => {
    draft.tell(topics.deliveries, {
      type: 'DeliveryRequested',
      v: 1,
      delivery: row.id,
      message: row.message,
      tenant: row.tenant,
      account: row.account,
      endpoint: row.endpoint,
      eventType: row.event_type,
      acceptedAt: row.accepted_at,
      attempt: (row.attempts ?? 0) + 1,
      trigger: 'resend',
      at: draft.at.getTime(),
      by: author.actor,
    });
    const entity = { kind: 'delivery', id: row.id, version: 0 };
    await draft.audit(row.tenant, 'delivery.resent', entity, []);
  });
}

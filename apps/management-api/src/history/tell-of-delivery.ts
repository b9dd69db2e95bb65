import { type HistoryDelivery, topics } from '@posthaste/contracts';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';

/** What somebody asked for, in the words of the log. */
type Asked =
  | { type: 'DeliveryRequested'; trigger: 'resend'; by: string }
  | { type: 'DeliveryCancelled'; trigger: 'publish'; reason: 'requested' };

/**
 * Says in the log what somebody asked for of a delivery, about its next attempt; the audit entry and the event are one
 * transaction.
 */
export async function tellOfDelivery(
  changes: Changes,
  author: Author,
  row: HistoryDelivery,
  action: 'delivery.resent' | 'delivery.cancelled',
  asked: Asked,
): Promise<void> {
  await changes.make(author, async (draft) => {
    draft.tell(topics.deliveries, {
      v: 1,
      delivery: row.id,
      message: row.message,
      tenant: row.tenant,
      account: row.account,
      endpoint: row.endpoint,
      eventType: row.event_type,
      acceptedAt: row.accepted_at,
      attempt: (row.attempts ?? 0) + 1,
      at: draft.at.getTime(),
      ...asked,
    });
    await draft.audit(row.tenant, action, { kind: 'delivery', id: row.id, version: 0 }, []);
  });
}

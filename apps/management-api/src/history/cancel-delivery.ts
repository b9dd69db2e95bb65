import type { HistoryDelivery } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';
import { tellOfDelivery } from './tell-of-delivery.js';

/** An exhausted one may be in the way of those behind it in its ordering key; the others are over. */
const CANCELLABLE = new Set(['pending', 'retrying', 'deferred', 'exhausted']);

/**
 * Says in the log that nothing more is to be sent for a delivery. What is being sent at that moment may still arrive,
 * and then counts: the receiver has it.
 */
export async function cancelDelivery(changes: Changes, author: Author, row: HistoryDelivery): Promise<void> {
  if (!CANCELLABLE.has(row.status)) {
    const message = `is ${row.status} already`;
    throw new Problem('conflict', `The delivery ${message}.`, [{ pointer: ':id', code: 'settled', message }]);
  }
  const asked = { type: 'DeliveryCancelled', trigger: 'publish', reason: 'requested' } as const;
  await tellOfDelivery(changes, author, row, 'delivery.cancelled', asked);
}

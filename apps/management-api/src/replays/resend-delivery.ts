import type { HistoryDelivery } from '@posthaste/contracts';
import { isSettledStatus } from '@posthaste/delivery';
import { Problem } from '@posthaste/runtime';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';
import { tellOfDelivery } from '../history/tell-of-delivery.js';

/**
 * Says in the log that one more attempt of a settled delivery is owed now. The request names the attempt by its number,
 * so asking again before it is made asks for the same one.
 */
export async function resendDelivery(changes: Changes, author: Author, row: HistoryDelivery): Promise<void> {
  if (!isSettledStatus(row.status)) {
    const message = `is ${row.status}: an attempt is owed already`;
    throw new Problem('conflict', `The delivery ${message}.`, [{ pointer: ':id', code: 'owed', message }]);
  }
  const asked = { type: 'DeliveryRequested', trigger: 'resend', by: author.actor } as const;
  await tellOfDelivery(changes, author, row, 'delivery.resent', asked);
}

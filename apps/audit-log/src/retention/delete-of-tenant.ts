import { lowestId } from '@posthaste/contracts';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { walkedSoFar, walkedTo, windowOf } from './walks.js';

/**
 * Deletes one batch of what belongs to a tenant's messages from before `before` (ms since 1970); says whether there may
 * be more.
 */
export async function deleteOfTenant(
  pool: pg.Pool,
  tenant: string,
  before: number,
  nowMs: number,
): Promise<{ deleted: number; more: boolean }> {
  return inTransaction(pool, async (client) => {
    const walk = `delete ${tenant}`;
    const swept = await walkedSoFar(client, walk, nowMs);
    const deliveries = await windowOf(
      client,
      'delivery',
      tenant,
      swept.delivery,
      lowestId('delivery', before),
    );
    if (deliveries.ids.length > 0) {
      for (const table of ['attempt', 'shadow_attempt', 'requested_attempt']) {
        await client.query(`delete from history.${table} where delivery = any($1::text[])`, [deliveries.ids]);
      }
      await client.query('delete from history.delivery where id = any($1::text[])', [deliveries.ids]);
    }
    const messages = await windowOf(client, 'message', tenant, swept.message, lowestId('message', before));
    if (messages.ids.length > 0) {
      await client.query('delete from history.message where id = any($1::text[])', [messages.ids]);
    }
    await walkedTo(client, walk, { delivery: deliveries.reached, message: messages.reached });
    const deleted = deliveries.ids.length + messages.ids.length;
    return { deleted, more: deliveries.more || messages.more };
  });
}

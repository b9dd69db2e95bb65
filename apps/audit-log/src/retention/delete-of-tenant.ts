import { lowestId } from '@posthaste/contracts';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { deletePayloadKeys } from '../history/sql/insert-payload-keys.js';
import { type TableByTime, tablesByTime } from '../history/tables-by-time.js';
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
      await deleteRows(client, 'delivery', deliveries.ids);
    }
    const messages = await windowOf(client, 'message', tenant, swept.message, lowestId('message', before));
    if (messages.ids.length > 0) {
      await deletePayloadKeys(client, messages.ids);
      await deleteRows(client, 'message', messages.ids);
    }
    await walkedTo(client, walk, { delivery: deliveries.reached, message: messages.reached });
    const deleted = deliveries.ids.length + messages.ids.length;
    return { deleted, more: deliveries.more || messages.more };
  });
}

async function deleteRows(client: pg.PoolClient, of: TableByTime['of'], ids: string[]): Promise<void> {
  for (const { table, key } of tablesByTime.filter((one) => one.of === of)) {
    await client.query(`delete from history.${table} where ${key} = any($1::text[])`, [ids]);
  }
}

import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { NOW_MS } from '../release/sql/claim-due.js';
import { letFirstGo, type OwedKeyRef } from './sql/let-first-go.js';

/**
 * What was handed over and never answered for so long did not arrive: a record that no dispatcher could read, or a log
 * that lost its end. Its key would wait for ever. If it does arrive after all, the dispatcher drops the second one.
 */
export const UNANSWERED_MS = 15 * 60_000;
const MOST = 100;

/** Lets it go once more; answers how many that were. */
export async function recallReleased(pool: pg.Pool): Promise<number> {
  let recalled = 0;
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<OwedKeyRef>({
      name: 'recall-released',
      text: `with late as materialized (
               select delivery from schedule.due
               where key_state = 'released' and due_at < ${NOW_MS} - $1::bigint
               order by due_at limit $2 for update skip locked
             )
             update schedule.due d set key_state = 'behind' from late where d.delivery = late.delivery
             returning d.partition, d.endpoint, d.ordering_key as key`,
      values: [UNANSWERED_MS, MOST],
    });
    recalled = rows.length;
    if (recalled > 0) await letFirstGo(client, rows);
  });
  return recalled;
}

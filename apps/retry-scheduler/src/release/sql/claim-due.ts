import type pg from 'pg';
import type { OwedAttempt } from '../../due-index/owed-attempt.js';
import { OWED_COLUMNS } from '../../due-index/sql/load-owed.js';

/**
 * The database's clock in ms, the same for every replica. `statement_timestamp` and not `clock_timestamp`, which
 * could change from row to row and so would keep the index from being used.
 */
export const NOW_MS = 'floor(extract(epoch from statement_timestamp()) * 1000)::bigint';

/**
 * Locks the earliest attempts whose time has come, leaving out what another replica holds. They stay locked until the
 * transaction ends; nothing is changed yet.
 */
export async function claimDue(client: pg.PoolClient, limit: number): Promise<OwedAttempt[]> {
  const { rows } = await client.query<OwedAttempt>({
    name: 'claim-due',
    text: `select ${OWED_COLUMNS} from schedule.due
           where not parked and not held and due_at <= ${NOW_MS}
           order by due_at limit $1 for update skip locked`,
    values: [limit],
  });
  return rows;
}

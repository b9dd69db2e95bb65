import { textArray } from '@posthaste/pg-arrays';
import type pg from 'pg';
import type { OwedAttempt } from '../owed-attempt.js';

export const OWED_COLUMNS = `delivery, message, tenant, account, endpoint, attempt, due_at as "dueAt", trigger, reason,
  case when ordering_key is null then null else json_build_object(
    'partition', partition, 'key', ordering_key, 'position', position, 'blocks', key_state = 'blocking') end as ordering`;

/** What is owed to these deliveries now; the others owe nothing. */
export async function loadOwed(pool: pg.Pool, deliveries: string[]): Promise<OwedAttempt[]> {
  const { rows } = await pool.query<OwedAttempt>({
    name: 'load-owed',
    text: `select ${OWED_COLUMNS} from schedule.due where delivery = any($1::text[])`,
    values: [textArray(deliveries)],
  });
  return rows;
}

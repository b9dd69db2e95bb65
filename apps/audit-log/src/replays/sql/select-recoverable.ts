import type { StartReplayRequest } from '@posthaste/contracts';
import type pg from 'pg';

/** The deliveries a replay is about. */
export type Scope = Pick<StartReplayRequest, 'tenant' | 'account' | 'endpoint' | 'since' | 'until'>;

/** A delivery whose next attempt is requested: what its event needs beside the replay's own facts. */
export interface Requestable {
  id: string;
  message: string;
  eventType: string;
  acceptedAt: number;
  /** The number of the attempt that is requested. */
  attempt: number;
}

/**
 * What an endpoint lacks for its own fault: given up after its attempts, or cancelled because it was disabled or said it
 * was gone. Not what a person cancelled, nor what the receiver asked not to be sent again.
 */
const RECOVERABLE = `account = $1 and endpoint = $2 and tenant = $3 and accepted_at >= $4 and accepted_at < $5
  and (status = 'exhausted' or status = 'cancelled' and reason in ('endpoint_disabled', 'endpoint_gone'))`;

const valuesOf = ({ account, endpoint, tenant, since, until }: Scope): unknown[] => [
  account,
  endpoint,
  tenant,
  since,
  until,
];

/** The next deliveries after this one, in the order their messages were accepted. */
export async function selectRecoverable(
  client: pg.Pool | pg.PoolClient,
  scope: Scope,
  after: { at: number; id: string },
  limit: number,
): Promise<Requestable[]> {
  const { rows } = await client.query<Requestable>({
    name: 'select-recoverable',
    text: `select id, message, event_type as "eventType", accepted_at as "acceptedAt", attempts + 1 as attempt
           from history.delivery
           where ${RECOVERABLE} and (accepted_at, id) > ($6, $7)
           order by accepted_at, id limit $8`,
    values: [...valuesOf(scope), after.at, after.id, limit],
  });
  return rows;
}

export async function countRecoverable(pool: pg.Pool, scope: Scope): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::int as n from history.delivery where ${RECOVERABLE}`,
    valuesOf(scope),
  );
  return rows[0]?.n ?? 0;
}

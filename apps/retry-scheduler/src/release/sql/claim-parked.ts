import type pg from 'pg';
import type { OwedAttempt } from '../../due-index/owed-attempt.js';
import { OWED_COLUMNS } from '../../due-index/sql/load-owed.js';
import type { LaneClaim } from '../../parking/parking-lot.js';

/**
 * Locks the oldest parked deliveries of each of these lanes, many lanes at once, leaving out what another replica holds.
 * Those of ordering keys by their place: the ids of messages accepted in one millisecond are in no order. Those without
 * a key come before them, since they wait for nobody.
 */
export async function claimParked(client: pg.PoolClient, claims: LaneClaim[]): Promise<OwedAttempt[]> {
  const { rows } = await client.query<OwedAttempt>({
    name: 'claim-parked',
    text: `select parked.* from unnest($1::text[], $2::int[]) as lane (endpoint, most)
           cross join lateral (
             select ${OWED_COLUMNS} from schedule.due d
             where d.parked and not d.held and d.endpoint = lane.endpoint
             order by d.position nulls first, d.delivery limit lane.most for update skip locked
           ) parked`,
    values: [claims.map((claim) => claim.endpoint), claims.map((claim) => claim.limit)],
  });
  return rows;
}

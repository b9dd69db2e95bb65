import type { HistoryMeant, HistoryPage, ListMeantRequest, MeantRange } from '@posthaste/contracts';
import type pg from 'pg';
import { rangeSql } from './meant-range.js';

const MAX_ITEMS = 200;

/** A page of what was meant for an endpoint. Payloads are read for their hash, those of the page and no others. */
export async function listMeant(
  pool: pg.Pool,
  { range, after, limit: asked }: ListMeantRequest,
): Promise<HistoryPage<HistoryMeant>> {
  const limit = Math.min(Math.max(asked, 1), MAX_ITEMS);
  const { where, values } = await rangeSql(pool, range, after);
  const { rows } = await pool.query<HistoryMeant>(
    `select p.position, p.delivery, p.message, p.event_type, p.accepted_at, p.status, p.attempts,
       coalesce(m.payload_sha256, encode(sha256(m.payload), 'hex')) as payload_sha256
     from (
       select d.tenant, d.position, d.id as delivery, d.message, d.event_type, d.accepted_at, d.status, d.attempts
       from history.delivery d ${where} limit ${limit + 1}
     ) p
     -- One look-up for each: "offset 0" keeps the planner from joining a page with all messages there are.
     left join lateral (select payload, payload_sha256 from history.message where id = p.message offset 0) m on true
     where p.tenant = $1
     order by p.position`,
    values,
  );
  return { data: rows.slice(0, limit), has_more: rows.length > limit };
}

/** The messages of a range in order, without what is read of each. */
export async function listMeantIds(
  pool: pg.Pool,
  range: MeantRange,
  limit: number,
): Promise<{ position: string; message: string }[]> {
  const { where, values } = await rangeSql(pool, range);
  const { rows } = await pool.query<{ position: string; message: string }>(
    `select position, message
     from (select d.tenant, d.position, d.message from history.delivery d ${where} limit ${limit}) p
     where tenant = $1
     order by position`,
    values,
  );
  return rows;
}

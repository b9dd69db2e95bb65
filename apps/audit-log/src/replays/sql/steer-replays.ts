import type {
  HistoryPage,
  HistoryReplay,
  ListReplaysRequest,
  ReplayStatus,
  StartReplayRequest,
} from '@posthaste/contracts';
import type pg from 'pg';
import { limitOf, toPage } from '../../history/sql/list-page.js';
import type { Scope } from './select-requestable.js';

type Nullable = 'endpoint' | 'to_endpoint' | 'finished_at';
type ReplayRow = Required<Omit<HistoryReplay, Nullable>> & {
  endpoint: string | null;
  to_endpoint: string | null;
  finished_at: number | null;
};

const COLUMNS = `r.id, r.tenant, r.account, r.kind, r.endpoint, r.to_endpoint, r.since, r.until, r.filter,
  r.rate_per_second, r.requested_by as by, r.created_at, r.status, r.total, r.requested, r.finished_at`;

/** What became of the attempts it requested, as far as history knows. */
const WITH_OUTCOMES = `select ${COLUMNS}, outcome.succeeded, outcome.failed from replays.replay r
  cross join lateral (
    select count(*) filter (where a.outcome = 'succeeded')::int as succeeded,
      count(*) filter (where a.outcome = 'failed')::int as failed
    from history.requested_attempt asked
    join history.attempt a on a.delivery = asked.delivery and a.number = asked.number
    where asked.replay = r.id
  ) outcome`;

/** What it is about; gRPC leaves out what is zero or absent. */
export function scopeOf(request: StartReplayRequest): Scope {
  const { kind, tenant, account, endpoint, to_endpoint, since, until, filter, names } = request;
  return {
    ...{ kind, tenant, account, endpoint: endpoint ?? null, toEndpoint: to_endpoint ?? null },
    ...{ since: since ?? 0, until, filter, names },
  };
}

/** A repeat, with the id it has already, changes nothing. */
export async function insertReplay(
  pool: pg.Pool,
  replay: StartReplayRequest,
  total: number,
  createdAt: number,
): Promise<void> {
  const scope = scopeOf(replay);
  await pool.query(
    `insert into replays.replay
       (id, tenant, account, kind, endpoint, to_endpoint, since, until, filter, names, rate_per_second, requested_by,
        created_at, status, total)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'running', $14) on conflict (id) do nothing`,
    [
      replay.id,
      scope.tenant,
      scope.account,
      scope.kind,
      scope.endpoint,
      scope.toEndpoint,
      scope.since,
      scope.until,
      JSON.stringify(scope.filter),
      JSON.stringify(scope.names),
      replay.rate_per_second,
      replay.by,
      createdAt,
      total,
    ],
  );
}

export async function getReplay(
  pool: pg.Pool,
  tenant: string | undefined,
  id: string,
): Promise<HistoryReplay | undefined> {
  const { rows } = await pool.query<ReplayRow>(`${WITH_OUTCOMES} where r.id = $1 and r.tenant = $2`, [
    id,
    tenant ?? '',
  ]);
  return rows.map(toReplay)[0];
}

/** Newest first. */
export async function listReplays(
  pool: pg.Pool,
  { tenant, account, page }: Partial<ListReplaysRequest>,
): Promise<HistoryPage<HistoryReplay>> {
  const limit = limitOf(page);
  const { rows } = await pool.query<ReplayRow>(
    `${WITH_OUTCOMES}
     where r.tenant = $1 and ($2::text is null or r.account = $2)
       and ($3::bigint is null or (r.created_at, r.id) < ($3, $4))
     order by r.created_at desc, r.id desc limit $5`,
    [tenant ?? '', account ?? null, page?.after_at ?? null, page?.after_id ?? '', limit + 1],
  );
  return toPage(rows, limit, toReplay);
}

/** Waits for the page that is being appended, if one is; so once this is done, nothing more is requested. */
export async function steerReplay(
  pool: pg.Pool,
  { tenant, id, status }: { tenant: string; id: string; status: ReplayStatus },
  now: number,
): Promise<void> {
  await pool.query(
    `update replays.replay set status = $3, finished_at = case when $3 = 'cancelled' then $4::bigint end
     where id = $1 and tenant = $2 and status in ('running', 'paused')`,
    [id, tenant, status, now],
  );
}

function toReplay(row: ReplayRow): HistoryReplay {
  return {
    ...row,
    endpoint: row.endpoint ?? undefined,
    to_endpoint: row.to_endpoint ?? undefined,
    finished_at: row.finished_at ?? undefined,
  };
}

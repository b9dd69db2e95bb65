import type pg from 'pg';

export interface ClaimAsk {
  tenant: string;
  /** `event_id`, or the route an Idempotency-Key was sent to. */
  scope: string;
  key: string;
  /** What makes two requests the same. */
  fingerprint: Buffer;
  /** The field or header that gave the key, for who must be told. */
  pointer: string;
  /** The id the result is to have, unless an earlier claim has already given it one. */
  resultId: string;
}

export interface StoredResponse {
  status: number;
  body: string;
}

export type Claim =
  /** It is ours to do, under this id. */
  | { kind: 'claimed'; resultId: string }
  | { kind: 'done'; response: StoredResponse }
  | { kind: 'running' }
  | { kind: 'reused' };

/** Longer than an append may take: by then the first request has answered or its process has died. */
const RUNNING_SECONDS = 15;

// Sorted, so that two processes that claim the same keys wait for each other instead of deadlocking.
const CLAIM = `
  with ask as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[])
      with ordinality as ask (tenant, scope, key, fingerprint, result_id, place)
  ), claimed as (
    insert into config.idempotency as held (tenant, scope, key, fingerprint, result_id, running_until)
    select tenant, scope, key, fingerprint, result_id, now() + interval '${RUNNING_SECONDS} seconds'
      from ask order by tenant, scope, key
    on conflict (tenant, scope, key) do update set running_until = excluded.running_until
      where held.response is null and held.running_until < now() and held.fingerprint = excluded.fingerprint
    returning tenant, scope, key, result_id
  )
  select ask.place::int as place, claimed.result_id as claimed, held.response, held.fingerprint = ask.fingerprint as same
    from ask
    left join claimed using (tenant, scope, key)
    left join config.idempotency held using (tenant, scope, key)`;

interface Row {
  place: number;
  claimed: string | null;
  response: StoredResponse | null;
  /** Null: the row was made while this statement ran, and it cannot see it. */
  same: boolean | null;
}

/** Claims each key for whoever asks first; who asks later learns what became of it. */
export async function claimKeys(
  pool: pg.Pool,
  asks: readonly ClaimAsk[],
  timeoutMs: number,
): Promise<Claim[]> {
  // A statement cannot meet one key twice; the second to ask for it is the later one.
  const first = new Map<string, ClaimAsk>();
  for (const ask of asks) if (!first.has(nameOf(ask))) first.set(nameOf(ask), ask);
  const claiming = [...first.values()];
  const query = {
    name: 'publish-claim',
    text: CLAIM,
    values: [
      claiming.map(({ tenant }) => tenant),
      claiming.map(({ scope }) => scope),
      claiming.map(({ key }) => key),
      claiming.map(({ fingerprint }) => fingerprint),
      claiming.map(({ resultId }) => resultId),
    ],
    query_timeout: timeoutMs,
  };
  const { rows } = await pool.query<Row>(query);
  const claims = new Map<ClaimAsk, Claim>();
  for (const row of rows) claims.set(claiming[row.place - 1] as ClaimAsk, claimOf(row));
  return asks.map((ask) => {
    const owner = first.get(nameOf(ask)) as ClaimAsk;
    const claim = claims.get(owner) as Claim;
    if (owner === ask) return claim;
    if (!owner.fingerprint.equals(ask.fingerprint)) return { kind: 'reused' };
    return claim.kind === 'claimed' ? { kind: 'running' } : claim;
  });
}

function claimOf({ claimed, response, same }: Row): Claim {
  if (claimed !== null) return { kind: 'claimed', resultId: claimed };
  if (same === false) return { kind: 'reused' };
  return response === null ? { kind: 'running' } : { kind: 'done', response };
}

function nameOf({ tenant, scope, key }: ClaimAsk): string {
  return `${tenant} ${scope} ${key}`;
}

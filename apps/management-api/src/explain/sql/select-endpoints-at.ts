import type { EntityManager } from 'typeorm';
import type { StoredEndpoint } from '../../versions/stored-endpoint.js';

export interface StoredVersion {
  version: number;
  at: Date;
  state: StoredEndpoint;
}

/** An endpoint the account has or had, and what it was when a message was routed. */
export interface EndpointThen {
  id: string;
  createdAt: Date;
  first: StoredEndpoint;
  /** At the message's configuration version; null when it was created after that. */
  then: StoredVersion | null;
  /** The newest version made between that and the message's acceptance; only looked for when asked. */
  missed: StoredVersion | null;
}

export interface WhichEndpoints {
  account: string;
  /** The account's configuration version. */
  config: number;
  /** Look for changes up to this instant that the configuration version does not include; null: do not. */
  missedUntil: Date | null;
  /** Of this one only. */
  only: string | null;
  after: { at: Date; id: string } | null;
  limit: number;
}

interface Row {
  id: string;
  created_at: Date;
  first: StoredEndpoint;
  version: number | null;
  at: Date;
  state: StoredEndpoint;
  missed_version: number | null;
  missed_at: Date;
  missed_state: StoredEndpoint;
}

/** Every endpoint that ever was one of the account's, the newest first, by keyset. */
export async function selectEndpointsAt(
  manager: EntityManager,
  { account, config, missedUntil, only, after, limit }: WhichEndpoints,
): Promise<EndpointThen[]> {
  const rows = await manager.query<Row[]>(
    `select born.entity_id as id, born.at as created_at, born.state as first,
            known.version, known.at, known.state,
            missed.version as missed_version, missed.at as missed_at, missed.state as missed_state
       from (
         select entity_id, at, state from config.entity_version
          where account = $1 and kind = 'endpoint' and version = 1
            and ($4::timestamptz is null or (at, entity_id) < ($4, $5))
            and ($7::text is null or entity_id = $7)
          order by at desc, entity_id desc
          limit $6
       ) born
       left join lateral (
         select version, at, state from config.entity_version v
          where v.entity_id = born.entity_id and v.config_version <= $2
          order by version desc limit 1
       ) known on true
       left join lateral (
         select version, at, state from config.entity_version v
          where v.entity_id = born.entity_id and v.config_version > $2 and v.at <= $3::timestamptz
          order by version desc limit 1
       ) missed on true
      order by born.at desc, born.entity_id desc`,
    [account, config, missedUntil, after?.at ?? null, after?.id ?? null, limit, only],
  );
  return rows.map(({ id, created_at, first, version, at, state, ...missed }) => ({
    id,
    createdAt: created_at,
    first,
    then: version === null ? null : { version, at, state },
    missed:
      missed.missed_version === null
        ? null
        : { version: missed.missed_version, at: missed.missed_at, state: missed.missed_state },
  }));
}

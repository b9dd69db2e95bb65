import type { DataSource } from 'typeorm';

/**
 * Which of these endpoints and keys are still good: what a request checks at its start, and a stream, which may outlive
 * it by days, again and again.
 */
export async function stillGood(
  database: DataSource,
  endpoints: string[],
  keys: string[],
): Promise<Set<string>> {
  const found = await database.query<{ id: string }[]>(
    `select e.id from config.endpoint e
       join config.account a on a.id = e.account
       join config.tenant t on t.id = e.tenant
      where e.id = any($1::text[]) and e.deleted_at is null and a.deleted_at is null and t.deleted_at is null
     union all
     select k.id from config.api_key k
       join config.tenant t on t.id = k.tenant and t.deleted_at is null
       left join config.account a on a.id = k.account
      where k.id = any($2::text[]) and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
        and (k.account is null or a.deleted_at is null)`,
    [endpoints, keys],
  );
  return new Set(found.map(({ id }) => id));
}

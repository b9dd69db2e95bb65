import { topics } from '@posthaste/contracts';
import type { LogReader, StoredRecord } from '@posthaste/event-log';
import type pg from 'pg';

/** Retention comes by the hour. */
const GATHER_MS = 1_000;

/**
 * Follows the configuration for what it says of keeping: how long each tenant wants its history kept, and which tenants
 * are gone. It is written down, for the topic forgets what is deleted and the wish must outlive that.
 */
export async function followPolicies(
  reader: LogReader,
  pool: pg.Pool,
  onFailure: (error: unknown) => void,
): Promise<{ caughtUp: Promise<void>; close(): Promise<void> }> {
  let writing: Promise<void> = Promise.resolve();
  const take = (record: StoredRecord): void => {
    const state = topics.config.decode(record);
    if (state.kind !== 'tenant') return;
    const { id, version, deleted, retentionDays = null } = state;
    const isDefault = retentionDays === null && !deleted;
    writing = writing
      .then(() => writePolicy(pool, { id, version, keptDays: retentionDays, deleted }, isDefault))
      .catch(onFailure);
  };
  const following = await reader.follow(topics.config, take, GATHER_MS);
  return {
    caughtUp: following.caughtUp.then(() => writing),
    close: async () => {
      await following.close();
      await writing;
    },
  };
}

interface Policy {
  id: string;
  version: number;
  keptDays: number | null;
  deleted: boolean;
}

/** Most tenants keep what the installation keeps: they have no row, unless they had another wish once. */
async function writePolicy(pool: pg.Pool, policy: Policy, isDefault: boolean): Promise<void> {
  const values = [policy.id, policy.version, policy.keptDays, policy.deleted];
  const change = `version = $2, kept_days = $3, deleted = $4`;
  if (isDefault)
    await pool.query(`update retention.tenant set ${change} where id = $1 and version < $2`, values);
  else
    await pool.query(
      `insert into retention.tenant as t (id, version, kept_days, deleted) values ($1, $2, $3, $4)
       on conflict (id) do update set ${change} where t.version < $2`,
      values,
    );
}

/** Those that keep less than the installation does. */
export async function shorterPolicies(
  pool: pg.Pool,
  keptMs: number,
): Promise<{ tenant: string; keptMs: number }[]> {
  const { rows } = await pool.query<{ tenant: string; keptMs: number }>(
    `select id as tenant, kept_days::bigint * 86400000 as "keptMs" from retention.tenant
     where kept_days::bigint * 86400000 < $1 order by id`,
    [keptMs],
  );
  return rows;
}

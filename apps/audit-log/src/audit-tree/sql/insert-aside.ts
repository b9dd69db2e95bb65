import type { RefusedRecord } from '@posthaste/event-log';
import type pg from 'pg';

/** Text is freed of NUL, which PostgreSQL cannot hold. */
export async function insertAside(client: pg.PoolClient, found: RefusedRecord[]): Promise<void> {
  await client.query(
    `insert into audit.quarantine (topic, partition, record_offset, reason, value)
     select * from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::bytea[])
     on conflict do nothing`,
    [
      found.map(({ topic }) => topic),
      found.map(({ partition }) => partition),
      found.map(({ record }) => record.offset),
      found.map(({ reason }) => reason.replaceAll('\0', '')),
      found.map(({ record }) => record.value),
    ],
  );
}

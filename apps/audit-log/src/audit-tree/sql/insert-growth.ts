import type pg from 'pg';
import type { Growth } from '../tree.js';

/** Writes what a batch added: at most one statement per table. */
export async function insertGrowth(client: pg.PoolClient, growths: Growth[]): Promise<void> {
  if (growths.length === 0) return;
  const entries = growths.flatMap(({ tenant, entries: added }) =>
    added.map((entry) => ({ tenant, ...entry })),
  );
  await client.query(
    `insert into audit.entry (tenant, seq, id, canonical, leaf_hash, signature)
     select * from unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])`,
    [
      entries.map(({ tenant }) => tenant),
      entries.map(({ sequence }) => sequence),
      entries.map(({ id }) => id),
      entries.map(({ canonical }) => canonical),
      entries.map(({ leaf }) => leaf),
      entries.map(({ signature }) => signature),
    ],
  );
  const nodes = growths.flatMap(({ tenant, nodes: added }) => added.map((node) => ({ tenant, ...node })));
  if (nodes.length > 0) {
    await client.query(
      `insert into audit.node (tenant, level, idx, hash)
       select * from unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[])`,
      [
        nodes.map(({ tenant }) => tenant),
        nodes.map(({ level }) => level),
        nodes.map(({ index }) => index),
        nodes.map(({ hash }) => hash),
      ],
    );
  }
  await client.query(
    `insert into audit.head (tenant, size, frontier, checkpoint)
     select * from unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[])
     on conflict (tenant) do update
       set size = excluded.size, frontier = excluded.frontier, checkpoint = excluded.checkpoint`,
    [
      growths.map(({ tenant }) => tenant),
      growths.map(({ head }) => head.size),
      growths.map(({ head }) => head.frontier),
      growths.map(({ head }) => head.checkpoint),
    ],
  );
}

import { lowestId } from '@posthaste/contracts';
import type pg from 'pg';

/*
 * For programs that let PostgreSQL itself fill tables with millions of rows.
 */

/** Ids by number, each kind in a table of the schema `filling` for the statements that fill. */
export async function numberIds(pool: pg.Pool, kinds: Record<string, string[]>): Promise<void> {
  await pool.query('create schema filling');
  for (const [table, ids] of Object.entries(kinds)) {
    await pool.query(
      `create unlogged table filling.${table} (n int primary key, id text collate "C" not null)`,
    );
    await pool.query(
      `insert into filling.${table} select n - 1, id from unnest($1::text[]) with ordinality as u (id, n)`,
      [ids],
    );
    await pool.query(`analyze filling.${table}`);
  }
}

/** The first characters of ids by second, behind their prefix. */
export function idsBySecond(since: number, ms: number): string[] {
  return Array.from({ length: ms / 1_000 + 1 }, (_, i) => lowestId('message', since + i * 1_000).slice(4));
}

/** Runs the work while these tables have no index but their keys: they are made sooner at once than row by row. */
export async function withoutIndexes(
  pool: pg.Pool,
  schema: string,
  tables: string[],
  work: () => Promise<unknown>,
): Promise<void> {
  const { rows } = await pool.query<{ indexname: string; indexdef: string }>(
    `select indexname, indexdef from pg_indexes
     where schemaname = $1 and indexname not like '%pkey' and tablename = any($2::text[])`,
    [schema, tables],
  );
  for (const { indexname } of rows) await pool.query(`drop index ${schema}.${indexname}`);
  await work();
  for (const { indexdef } of rows) await pool.query(indexdef);
}

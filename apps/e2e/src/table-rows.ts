import type pg from 'pg';

/** The rows of each table as text, in a fixed order. */
export type TableRows = Record<string, string[]>;

/** Everything in the tables of the schemas, but the bookkeeping of migrations. */
export async function tableRows(database: pg.Client, schemas: string[]): Promise<TableRows> {
  const { rows: tables } = await database.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname = any($1) and tablename not like '%migration%' order by 1`,
    [schemas],
  );
  const found: TableRows = {};
  for (const { name } of tables) {
    const { rows } = await database.query<{ row: string }>(`select t::text as row from ${name} t order by 1`);
    found[name] = rows.map(({ row }) => row);
  }
  return found;
}

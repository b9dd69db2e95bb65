import { lowestId } from '@posthaste/contracts';
import type { TableComparison } from '@posthaste/rebuild';
import type pg from 'pg';
import { type TableByTime, tablesByTime } from '../history/tables-by-time.js';
import { NEXT } from './next-history.js';

/**
 * Both histories by their keys, as far as they are about messages that were accepted before the rebuild began: of later
 * ones either side may know more. None of it is missing where the log held everything. It reads all of them: minutes for tens of millions of rows, and nobody waits for it.
 *
 * The live history may be a moment ahead, and have the latest attempt of an old message that the rebuilt one has not. So
 * what is missing at first is looked for again once the rebuilt history is where the live one was.
 */
export async function compareHistories(
  client: pg.ClientBase,
  before: number,
  caughtUp: () => Promise<boolean>,
): Promise<TableComparison[]> {
  const counted: Omit<TableComparison, 'missing'>[] = [];
  for (const table of tablesByTime) counted.push(await compareTable(client, table, before));
  await caughtUp();
  const compared: TableComparison[] = [];
  for (const [i, table] of tablesByTime.entries()) {
    const counts = counted[i];
    if (counts) compared.push({ ...counts, missing: await stillMissing(client, table) });
  }
  return compared;
}

/** Bookkeeping, and what a better version may have no reason to put aside again. */
const NOT_COMPARED = ['position', 'migration', 'swept', 'quarantine', 'payload_indexed'];
/** By day, and only of the last: retention may have dropped what is made again no more. */
const BY_DAY = 'payload\\_key%';

/** Tables of the live history that have rows, and none in the rebuilt one: whoever fills them does not do so here. */
export async function tablesNotFilled(client: pg.ClientBase): Promise<string[]> {
  const { rows: tables } = await client.query<{ name: string; isThere: boolean }>(
    `select tablename as name, to_regclass(format('%I.%I', $2::text, tablename)) is not null as "isThere"
     from pg_tables where schemaname = 'history' and tablename <> all($1::text[])
       and tablename not like $3 order by 1`,
    [NOT_COMPARED, NEXT, BY_DAY],
  );
  const found: string[] = [];
  for (const { name, isThere } of tables) {
    const rebuilt = isThere ? `exists (select from ${NEXT}."${name}")` : 'false';
    const { rows } = await client.query<{ lost: boolean }>(
      `select exists (select from history."${name}") and not ${rebuilt} as lost`,
    );
    if (rows[0]?.lost) found.push(name);
  }
  return found;
}

async function compareTable(
  client: pg.ClientBase,
  { table, key, unique, of }: TableByTime,
  before: number,
): Promise<Omit<TableComparison, 'missing'>> {
  // A literal, and none of anybody's making: a statement that creates a table takes no parameters.
  const bound = `'${lowestId(of, before)}'`;
  await client.query(`drop table if exists pg_temp.missing_${table}`);
  await client.query(
    `create temp table missing_${table} as
     select ${unique} from history.${table} where ${key} < ${bound}
     except select ${unique} from ${NEXT}.${table} where ${key} < ${bound}`,
  );
  const { rows } = await client.query<{ live: string; rebuilt: string }>(
    `select (select count(*) from history.${table} where ${key} < ${bound}) as live,
       (select count(*) from ${NEXT}.${table} where ${key} < ${bound}) as rebuilt`,
  );
  return { table, live: Number(rows[0]?.live), rebuilt: Number(rows[0]?.rebuilt) };
}

/** Of those that are live still: retention may have taken some meanwhile. */
async function stillMissing(client: pg.ClientBase, { table, unique }: TableByTime): Promise<number> {
  const { rows } = await client.query<{ missing: number }>(
    `select count(*)::int as missing from pg_temp.missing_${table} join history.${table} using (${unique})
     left join ${NEXT}.${table} n using (${unique}) where n is null`,
  );
  return rows[0]?.missing ?? 0;
}

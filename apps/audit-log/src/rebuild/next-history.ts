import { migrate } from '@posthaste/runtime';
import type pg from 'pg';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { historyMigrations } from '../migrations.js';

/**
 * The schema a history is rebuilt in. All code of history names its tables `history.<table>`, statements and migrations
 * alike: here the same text runs against `history_next`. So what is rebuilt is what this version's own code makes, and a
 * table that is added to history is in the next rebuild without anybody thinking of it.
 */
export const NEXT = 'history_next';
export const OLD = 'history_old';

const rewritten = new Map<string, string>();

function toNext(sql: string): string {
  const known = rewritten.get(sql);
  if (known !== undefined) return known;
  const text = sql.replaceAll(/(?<![\w.])(?:history|"history")\./g, `${NEXT}.`);
  rewritten.set(sql, text);
  return text;
}

/** The pool, for statements about history that mean the one being rebuilt. A pool of its own: statements are prepared. */
export function nextHistoryPool(pool: pg.Pool): pg.Pool {
  return withQueries(pool, {
    connect: async (): Promise<pg.PoolClient> => withQueries(await pool.connect(), {}),
  });
}

function withQueries<T extends pg.Pool | pg.PoolClient>(target: T, others: Record<string, unknown>): T {
  const query = (statement: string | pg.QueryConfig, ...rest: unknown[]): unknown => {
    const moved =
      typeof statement === 'string' ? toNext(statement) : { ...statement, text: toNext(statement.text) };
    return Reflect.apply(target.query.bind(target), target, [moved, ...rest]) as unknown;
  };
  return new Proxy(target, {
    get: (_, name) => {
      if (name === 'query') return query;
      if (typeof name === 'string' && name in others) return others[name];
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Empty tables, as the migrations of history make them today; under their names, so that the swap leaves none open. */
export async function createNextHistory(url: string): Promise<void> {
  await migrate(
    url,
    NEXT,
    historyMigrations.map(
      (Migration) =>
        class implements MigrationInterface {
          readonly name = Migration.name;
          up(runner: QueryRunner): Promise<void> {
            return new Migration().up(onNext(runner));
          }
          down(runner: QueryRunner): Promise<void> {
            return new Migration().down(onNext(runner));
          }
        },
    ),
  );
}

function onNext(runner: QueryRunner): QueryRunner {
  const query = (sql: string, values?: unknown[]): Promise<unknown> => runner.query(toNext(sql), values);
  return new Proxy(runner, {
    get: (target, name) => (name === 'query' ? query : (Reflect.get(target, name) as unknown)),
  });
}

/** Which rebuild the schema was made for; null when there is none, or one that was not made to its end. */
export async function ownerOfNext(client: pg.ClientBase): Promise<string | null> {
  const { rows } = await client.query<{ owner: string | null }>(
    `select obj_description(oid, 'pg_namespace') as owner from pg_namespace where nspname = $1`,
    [NEXT],
  );
  return rows[0]?.owner ?? null;
}

/** @param run an id of ours, safe in a statement that takes no parameters. */
export async function claimNext(client: pg.ClientBase, run: string): Promise<void> {
  await client.query(`comment on schema ${NEXT} is '${run}'`);
}

/** Tables nobody has counted yet are read by bad plans. */
export async function analyseNext(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'select tablename as name from pg_tables where schemaname = $1',
    [NEXT],
  );
  for (const { name } of rows) await client.query(`analyze ${NEXT}."${name}"`);
}

/** True when another version of us changed the live tables since the next ones were made. */
export async function isOutdated(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ differ: boolean }>(
    `select exists (
       (select name from history.migration except select name from ${NEXT}.migration) union all
       (select name from ${NEXT}.migration except select name from history.migration)) as differ`,
  );
  return rows[0]?.differ ?? true;
}

import { migrate } from '@posthaste/runtime';
import type pg from 'pg';
import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The schema a projection is rebuilt in, beside its live one. All code of a projection names its tables with their
 * schema, `history.<table>`, statements and migrations alike: here the same text runs against `history_next`. So what
 * is rebuilt is what this version's own code makes, and a table that is added to a projection is in the next rebuild
 * without anybody thinking of it.
 */
export class Beside {
  readonly next: string;
  readonly old: string;
  private readonly named: RegExp;
  private readonly rewritten = new Map<string, string>();

  /** @param live the schema, named so in statements: `schema.table` or `"schema".table`. */
  constructor(
    readonly live: string,
    private readonly migrations: (new () => MigrationInterface)[],
  ) {
    this.next = `${live}_next`;
    this.old = `${live}_old`;
    this.named = new RegExp(`(?<![\\w.])(?:${live}|"${live}")\\.`, 'g');
  }

  /** The pool, for statements about live tables that mean the next ones. A pool of its own: statements are prepared. */
  pool(pool: pg.Pool): pg.Pool {
    return this.withQueries(pool, {
      connect: async (): Promise<pg.PoolClient> => this.client(await pool.connect()),
    });
  }

  /** The same for one connection, which may run statements about both. */
  client<T extends pg.ClientBase>(client: T): T {
    return this.withQueries(client, {});
  }

  /** Empty tables, as the migrations make them today; under their names, so that the swap leaves none open. */
  async create(url: string): Promise<void> {
    const onNext = (runner: QueryRunner): QueryRunner => this.onNext(runner);
    await migrate(
      url,
      this.next,
      this.migrations.map(
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

  /** Which rebuild the next schema was made for; null when there is none, or one that was not made to its end. */
  async owner(client: pg.ClientBase): Promise<string | null> {
    const { rows } = await client.query<{ owner: string | null }>(
      `select obj_description(oid, 'pg_namespace') as owner from pg_namespace where nspname = $1`,
      [this.next],
    );
    return rows[0]?.owner ?? null;
  }

  /** @param run an id of ours, safe in a statement that takes no parameters. */
  async claim(client: pg.ClientBase, run: string): Promise<void> {
    await client.query(`comment on schema ${this.next} is '${run}'`);
  }

  /** Tables nobody has counted yet are read by bad plans. */
  async analyse(client: pg.ClientBase): Promise<void> {
    const { rows } = await client.query<{ name: string }>(
      'select tablename as name from pg_tables where schemaname = $1',
      [this.next],
    );
    for (const { name } of rows) await client.query(`analyze ${this.next}."${name}"`);
  }

  /** True when another version of us changed the live tables since the next ones were made. */
  async isOutdated(client: pg.ClientBase): Promise<boolean> {
    const { rows } = await client.query<{ differ: boolean }>(
      `select exists (
         (select name from ${this.live}.migration except select name from ${this.next}.migration) union all
         (select name from ${this.next}.migration except select name from ${this.live}.migration)) as differ`,
    );
    return rows[0]?.differ ?? true;
  }

  /** The next tables are the live ones, once the client's transaction commits. */
  async putInPlace(client: pg.ClientBase): Promise<void> {
    await client.query(
      `alter schema ${this.live} rename to ${this.old}; alter schema ${this.next} rename to ${this.live}`,
    );
  }

  async dropNext(client: pg.ClientBase): Promise<void> {
    await client.query(`drop schema if exists ${this.next} cascade`);
  }

  /** What was live before. */
  async dropOld(client: pg.ClientBase): Promise<void> {
    await client.query(`drop schema if exists ${this.old} cascade`);
  }

  private toNext(sql: string): string {
    const known = this.rewritten.get(sql);
    if (known !== undefined) return known;
    const text = sql.replaceAll(this.named, `${this.next}.`);
    this.rewritten.set(sql, text);
    return text;
  }

  private withQueries<T extends pg.Pool | pg.ClientBase>(target: T, others: Record<string, unknown>): T {
    const query = (statement: string | pg.QueryConfig, ...rest: unknown[]): unknown => {
      const moved =
        typeof statement === 'string'
          ? this.toNext(statement)
          : { ...statement, text: this.toNext(statement.text) };
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

  private onNext(runner: QueryRunner): QueryRunner {
    const query = (sql: string, values?: unknown[]): Promise<unknown> =>
      runner.query(this.toNext(sql), values);
    return new Proxy(runner, {
      get: (target, name) => (name === 'query' ? query : (Reflect.get(target, name) as unknown)),
    });
  }
}

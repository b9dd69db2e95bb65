import type pg from 'pg';
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was asked for, and how it is. */
export interface RebuildRun {
  id: string;
  started_at: number;
  status: 'running' | 'completed' | 'failed' | 'cancelled';
  finished_at: number | null;
  reason: string | null;
  tables: TableComparison[] | null;
}

/** How a table that was rebuilt compares with the live one. */
export interface TableComparison {
  table: string;
  live: number;
  rebuilt: number;
  /** Rows that are live and were not rebuilt. */
  missing: number;
}

const COLUMNS = 'id, started_at, status, finished_at, reason, tables';

/** Which rebuilds were asked for, and what became of them. */
export class Runs {
  /** @param schema one of its own: the projection's is swapped. */
  constructor(
    private readonly pool: pg.Pool,
    private readonly schema: string,
  ) {}

  /** The one at work, or the latest; undefined when there was never one. */
  async latest(): Promise<RebuildRun | undefined> {
    const { rows } = await this.pool.query<RebuildRun>(
      `select ${COLUMNS} from ${this.schema}.run
       order by status = 'running' desc, started_at desc, id desc limit 1`,
    );
    return rows[0];
  }

  async atWork(): Promise<RebuildRun | undefined> {
    const { rows } = await this.pool.query<RebuildRun>(
      `select ${COLUMNS} from ${this.schema}.run where status = 'running'`,
    );
    return rows[0];
  }

  /** True when one is at work, or one of these schemas was left by one that is over. */
  async hasWork(leftovers: string[]): Promise<boolean> {
    const { rows } = await this.pool.query<{ found: boolean }>(
      `select exists (select from ${this.schema}.run where status = 'running')
         or exists (select from pg_namespace where nspname = any($1::text[])) as found`,
      [leftovers],
    );
    return rows[0]?.found ?? false;
  }

  /** Asked for while another one is at work, it is that one. */
  async insert(id: string, startedAt: number): Promise<void> {
    await this.pool.query(
      `insert into ${this.schema}.run (id, started_at, status) values ($1, $2, 'running') on conflict do nothing`,
      [id, startedAt],
    );
  }

  /** Changes nothing when it is over already. */
  async end(
    id: string,
    end: { status: 'failed' | 'cancelled'; reason?: string; tables?: TableComparison[] },
  ): Promise<void> {
    await this.pool.query(
      `update ${this.schema}.run set status = $2, finished_at = $3, reason = $4, tables = $5
       where id = $1 and status = 'running'`,
      [id, end.status, Date.now(), end.reason ?? null, end.tables ? JSON.stringify(end.tables) : null],
    );
  }

  /** Completed, once the client's transaction commits. False when it is over already: it was cancelled. */
  async complete(client: pg.ClientBase, id: string, tables: TableComparison[]): Promise<boolean> {
    const { rowCount } = await client.query(
      `update ${this.schema}.run set status = 'completed', finished_at = $2, tables = $3
       where id = $1 and status = 'running'`,
      [id, Date.now(), JSON.stringify(tables)],
    );
    return rowCount === 1;
  }
}

export function runsMigration(schema: string): new () => MigrationInterface {
  return class implements MigrationInterface {
    readonly name = 'Rebuild1796000000000';

    async up(runner: QueryRunner): Promise<void> {
      await runner.query(`
        create table ${schema}.run (
          id text collate "C" primary key,
          started_at bigint not null,
          status text not null check (status in ('running', 'completed', 'failed', 'cancelled')),
          finished_at bigint,
          -- Of one that failed: the sentence.
          reason text,
          -- Of one that got as far: how the tables compared.
          tables jsonb
        );
        create unique index run_at_work on ${schema}.run (status) where status = 'running';
      `);
    }

    async down(runner: QueryRunner): Promise<void> {
      await runner.query(`drop table ${schema}.run`);
    }
  };
}

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import type pg from 'pg';
import type { QueryRunner } from 'typeorm';
import { createLogger, createPool, inTransaction, migrate } from './index.js';

class Things1790000000000 {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('create table things.thing (id bigint primary key)');
  }
  async down(): Promise<void> {}
}

describe('a service and its PostgreSQL', () => {
  let server: TemporaryPostgres;
  let pool: pg.Pool;

  beforeAll(async () => {
    server = await startTemporaryPostgres('runtime');
    const { logger } = createLogger('test', 'silent');
    pool = createPool({
      url: server.url,
      name: 'test',
      max: 4,
      logger,
      settings: { synchronous_commit: 'off' },
    });
  }, 60_000);
  afterAll(async () => {
    await pool.end();
    await server.remove();
  });

  it('migrates once, though four replicas start at the same moment', async () => {
    await Promise.all(Array.from({ length: 4 }, () => migrate(server.url, 'things', [Things1790000000000])));
    const applied = await pool.query('select name from things.migration');
    expect(applied.rows).toEqual([{ name: 'Things1790000000000' }]);
  });

  it('reads 8-byte integers as numbers, and has the session settings', async () => {
    const { rows } = await pool.query(
      `select 1790000000000::bigint n, current_setting('synchronous_commit') s`,
    );
    expect(rows).toEqual([{ n: 1_790_000_000_000, s: 'off' }]);
  });

  it('leaves nothing of a transaction that threw', async () => {
    const failing = inTransaction(pool, async (client) => {
      await client.query('insert into things.thing values (1)');
      throw new Error('half-way');
    });
    await expect(failing).rejects.toThrow('half-way');
    expect((await pool.query('select * from things.thing')).rows).toEqual([]);
  });

  it('fails a transaction whose connection ends between its statements, and nothing else', async () => {
    const cut = inTransaction(pool, async (client) => {
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() pid');
      const ended = new Promise((resolve) => client.once('end', resolve));
      await pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
      await ended;
      await client.query('insert into things.thing values (2)');
    });
    await expect(cut).rejects.toThrow();
    expect((await pool.query('select * from things.thing')).rows).toEqual([]);
  });

  it('goes on after the server was killed and came back', async () => {
    await server.kill('SIGKILL');
    await expect(pool.query('select 1')).rejects.toThrow();
    await server.restart();
    expect((await pool.query('select 1 one')).rows).toEqual([{ one: 1 }]);
  }, 30_000);
});

import { howRead, type HowRead } from '@posthaste/test-kit';
import type pg from 'pg';

/** Lets a read run, and tells of each of its statements how it read. */
export async function explained(
  pool: pg.Pool,
  read: (pool: pg.Pool) => Promise<unknown>,
): Promise<HowRead[]> {
  const found: HowRead[] = [];
  const query = async (statement: string | { text: string; values: unknown[] }, values?: unknown[]) => {
    const asked = typeof statement === 'string' ? { text: statement, values: values ?? [] } : statement;
    found.push(await howRead(pool, asked.text, asked.values));
    return pool.query(asked.text, asked.values);
  };
  await read({ query } as unknown as pg.Pool);
  return found;
}

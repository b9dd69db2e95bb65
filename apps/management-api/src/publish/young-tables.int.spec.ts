import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLogger, createPool } from '@posthaste/runtime';
import { howRead } from '@posthaste/test-kit';
import type pg from 'pg';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { publishPool } from './index.js';
import { checkStanding } from './sql/check-standing.js';
import { loadAccountRouting } from './sql/load-account-routing.js';

const ACCOUNTS = 5_000;
const ASKS = 20;
const TIMEOUT_MS = 10_000;
/** Six look-ups by index for an ask, each a page or three deep; walking the accounts reads over a thousand. */
const PAGES_PER_ASK = 20;

let bed: TestBed;
let pool: pg.Pool;
let account: string;
let key: string;

beforeAll(async () => {
  bed = await startTestBed();
  const tenant = await bed.api.newTenant('publisher');
  ({ id: account } = await tenant.putAccount('acme'));
  const body = { scope: 'account', account };
  ({ id: key } = await bed.api.operator.ask<{ id: string }>('POST', `/v1/tenants/${tenant.id}/keys`, {
    body,
  }));
  // PostgreSQL has not looked at the tables, and will not.
  await bed.database.query('alter table config.account set (autovacuum_enabled = off)');
  // One connection, which keeps the plans it has made: with one account, as where the first publish is made at once.
  const { logger } = createLogger('spec', 'silent');
  pool = createPool({ ...publishPool, url: bed.postgres.url, max: 1, logger });
  await checkStanding(pool, [{ key, accountId: account, accountUid: null }], TIMEOUT_MS);
  await loadAccountRouting(pool, [account], TIMEOUT_MS);
  await bed.database.query(
    `insert into config.account
     select made.* from config.account a, generate_series(1, $1::int) as n, jsonb_populate_record(a, jsonb_build_object(
       'id', a.id || n, 'uid', a.uid || n, 'created_at', a.created_at - n * interval '1 second')) as made`,
    [ACCOUNTS],
  );
}, 60_000);
afterAll(async () => {
  await pool.end();
  await bed.stop();
});

describe('what each publish looks up, where thousands of accounts were made since its plan', () => {
  it.each([
    ['its account by id, with a key of the account', 'publish-standing', () => [key, account, null]],
    ['its account by uid', 'publish-standing', () => [key, null, 'acme']],
    ['an account there is none of', 'publish-standing', () => [key, null, 'acme0']],
    ['the endpoints', 'publish-routing', () => [account]],
  ])('reads a few pages for %s', async (_what, statement, ask) => {
    const asks = ask().map(
      (value) => `array_fill(${value === null ? 'null' : `'${value}'`}::text, '{${ASKS}}')`,
    );
    const { pages } = await howRead(pool, `execute "${statement}" (${asks.join(', ')})`);
    expect(pages).toBeGreaterThan(0);
    expect(pages).toBeLessThan(PAGES_PER_ASK * ASKS);
  });
});

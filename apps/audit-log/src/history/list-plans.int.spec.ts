import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '@posthaste/contracts';
import { createLogger } from '@posthaste/runtime';
import type pg from 'pg';
import { explained } from '../proving/explained.js';
import { type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import { createReadsPool } from './reads-pool.js';
import { sampleMessage } from './sample-facts.js';
import { listAccountAttempts } from './sql/select-attempts.js';
import { listDeliveries } from './sql/select-deliveries.js';
import { listMessages } from './sql/select-messages.js';

// However little PostgreSQL knows of the tables, a page reads what it shows and not all that the account has.

let bed: HistoryBed;
let reads: pg.Pool;
beforeAll(async () => {
  bed = await startHistoryBed();
  const { logger } = createLogger('list-plans-spec', 'silent');
  reads = createReadsPool({ url: bed.url, max: 2, logger });
  for (const table of ['message', 'delivery', 'attempt']) {
    await bed.pool.query(`alter table history.${table} set (autovacuum_enabled = off)`);
  }
}, 60_000);
afterAll(async () => {
  await reads.end();
  await bed.stop();
});

const MANY = 20_000;
const LIMIT = 50;
const at = 1_790_000_000_000;
const tenant = newId('tenant', at);
const account = newId('account', at);
const [endpoint, other] = [newId('endpoint', at), newId('endpoint', at)];

const page = { limit: LIMIT };
const middle = { ...page, after_at: at + MANY / 2, after_id: '' };
const hour = { since: at + MANY / 4, until: at + MANY / 2 };
const message = `msg_${String(MANY / 2).padStart(27, '0')}`;
const listed: [string, (pool: pg.Pool, request: object) => Promise<{ data: unknown[] }>, object[]][] = [
  [
    'messages',
    (pool, request) => listMessages(pool, { tenant, account, page, ...request }),
    [{}, { page: middle }, hour],
  ],
  [
    'deliveries',
    (pool, request) => listDeliveries(pool, { tenant, account, page, ...request }),
    [{}, { page: middle }, hour, { endpoint }, { endpoint, page: middle }, { message }],
  ],
  [
    'attempts',
    (pool, request) => listAccountAttempts(pool, { tenant, account, page, ...request }),
    [{}, { page: middle }, hour, { endpoint }, { endpoint, ...hour }],
  ],
];

describe.each([
  ['without statistics', () => fill(account, MANY)],
  [
    'with the statistics of before the account had any',
    async () => {
      for (let n = 0; n < 50; n++) await fill(newId('account', at), 200);
      await bed.pool.query('analyze history.message, history.delivery, history.attempt');
      await fill(account, MANY);
    },
  ],
  [
    'with statistics',
    async () => {
      await fill(account, MANY);
      await bed.pool.query('analyze history.message, history.delivery, history.attempt');
    },
  ],
])('%s', (_, prepare) => {
  beforeAll(async () => {
    await bed.pool.query('truncate history.message, history.delivery, history.attempt');
    await prepare();
  }, 60_000);

  it.each(listed)(
    'a search of %s that finds nothing looks at no more rows than it may',
    async (_name, list) => {
      const plans = await explained(reads, async (client) => {
        expect((await list(client, { event_type: 'none' })).data).toEqual([]);
      });
      // For an attempt its message is looked at too.
      const within = plans.map(({ mostRows }) => ({ mostRows, isBounded: mostRows <= 3_000 }));
      expect(within).toEqual(within.map((one) => ({ ...one, isBounded: true })));
    },
  );

  it.each(listed)('a page of %s reads about as many rows as it shows', async (_name, list, requests) => {
    for (const request of requests) {
      const plans = await explained(reads, async (client) => {
        const { data } = await list(client, request);
        expect({ request, some: data.length > 0 }).toEqual({ request, some: true });
      });
      // Of both endpoints, and one more to know whether there is more.
      const within = plans.map(({ mostRows }) => ({ request, mostRows, isFew: mostRows <= 3 * LIMIT }));
      expect(within).toEqual(within.map((one) => ({ ...one, isFew: true })));
    }
  });
});

/** As many messages of an account, a millisecond apart, each delivered to two endpoints at the first attempt. */
async function fill(of: string, count: number): Promise<void> {
  await bed.pool.query(
    `insert into history.message (accepted_at, id, tenant, account, event_type, meta, payload)
     select $1::bigint + n, case when $5 then 'msg_' || lpad(n::text, 27, '0') else $3 || n end, $2, $3, 'a',
       $6, 'x'
     from generate_series(1, $4::int) n`,
    [
      at,
      tenant,
      of,
      count,
      of === account,
      JSON.stringify(sampleMessage({ at, tenant, account: of, endpoint }).meta),
    ],
  );
  await bed.pool.query(
    `insert into history.delivery (accepted_at, attempts, id, message, tenant, account, endpoint, event_type, status)
     select m.accepted_at, 1, m.id || '_' || e.nth, m.id, m.tenant, m.account, e.id, 'a', 'delivered'
     from history.message m, unnest($1::text[]) with ordinality e (id, nth) where m.account = $2`,
    [of === account ? [endpoint, other] : [`${of}1`, `${of}2`], of],
  );
  await bed.pool.query(
    `insert into history.attempt (started_at, duration_ms, endpoint_version, number, delivery, id, tenant, trigger,
       profile, outcome, request_url, request_headers, timings, account, endpoint)
     select accepted_at, 1, 1, 1, id, id, tenant, 'first', 'standard', 'delivered', '', '{}', '{}', account, endpoint
     from history.delivery where account = $1`,
    [of],
  );
}

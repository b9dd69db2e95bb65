import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { messagePosition, newId } from '@posthaste/contracts';
import type pg from 'pg';
import { explained } from '../proving/explained.js';
import { type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import { listMeant, listMeantIds } from './sql/select-meant.js';

let bed: HistoryBed;
let pool: pg.Pool;
beforeAll(async () => {
  bed = await startHistoryBed();
  ({ pool } = bed);
}, 60_000);
afterAll(() => bed.stop());

const at = 1_790_000_000_000;
const tenant = newId('tenant', at);
const account = newId('account', at);
const endpoint = newId('endpoint', at);
const other = newId('endpoint', at);
const range = { tenant, account, endpoint };
const place = (offset: number): string => messagePosition(3, offset);

describe('the statements', () => {
  const MANY = 20_000;
  it.each([
    ['without statistics', false],
    ['with statistics', true],
  ])(
    'read an index, and no more rows than they are asked for: %s',
    async (_, isAnalysed) => {
      await fill(MANY, isAnalysed);
      const [from, since] = [place(MANY / 2), at + (MANY / 2) * 1_000];
      for (const asked of [
        {},
        { from },
        { from, to: place(MANY - 10) },
        { since },
        { since, until: since + 3_600_000 },
        { until: at + 60_000 },
      ]) {
        const plans = await explained(pool, (client) =>
          listMeant(client, { range: { ...range, ...asked }, limit: 7 }),
        );
        const ids = await explained(pool, (client) => listMeantIds(client, { ...range, ...asked }, 7));
        for (const { scans, mostRows } of [...plans, ...ids]) {
          expect({ asked, scans: scans.filter((scan) => /Seq Scan|Bitmap/.test(scan)) }).toEqual({
            asked,
            scans: [],
          });
          // Rows of the minute before a time are passed over.
          expect({ asked, mostRows, isBounded: mostRows <= 80 }).toEqual({
            asked,
            mostRows,
            isBounded: true,
          });
        }
      }
    },
    120_000,
  );

  /** As many messages, a second apart, each for the endpoint and another one. */
  async function fill(count: number, isAnalysed: boolean): Promise<void> {
    await pool.query('truncate history.message, history.delivery');
    await pool.query(
      `insert into history.message (accepted_at, id, tenant, account, event_type, meta, payload, position)
       select $1::bigint + n * 1000, 'msg_' || lpad(n::text, 27, '0'), $2, $3, 'a', '{}', 'x', position
       from unnest($4::text[]) with ordinality as m (position, n)`,
      [at, tenant, account, Array.from({ length: count }, (_, offset) => place(offset))],
    );
    await pool.query(
      `insert into history.delivery (accepted_at, attempts, id, message, tenant, account, endpoint, event_type, status, position)
       select m.accepted_at, 1, 'dlv_' || e.nth || substr(m.id, 5), m.id, m.tenant, m.account, e.id, 'a', 'delivered', m.position
       from history.message m, unnest($1::text[]) with ordinality e (id, nth)`,
      [[endpoint, other]],
    );
    if (isAnalysed) await pool.query('vacuum analyze history.message, history.delivery');
  }
});

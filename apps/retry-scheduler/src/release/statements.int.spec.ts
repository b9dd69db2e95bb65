import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { howRead } from '@posthaste/test-kit';
import type pg from 'pg';
import { ReleaseStage } from '../proving/release-stage.js';
import { claimDue } from './sql/claim-due.js';
import { claimParked } from './sql/claim-parked.js';
import { listParkedLanes } from './sql/list-parked-lanes.js';
import { msUntilNextDue } from './sql/next-due.js';
import { parkDueOf } from './sql/park-due.js';

const MANY = 100_000;
const claims = [
  { endpoint: 'ep_parked', limit: 7 },
  { endpoint: 'ep_few', limit: 7 },
];
let stage: ReleaseStage;
beforeAll(async () => {
  stage = await ReleaseStage.open();
}, 60_000);
afterAll(() => stage.close());

describe('the statements of a release', () => {
  it.each([
    ['a plan that was made while the index was empty', false],
    ['statistics', true],
  ])(
    'read an index, and no more rows than they are asked for: with %s',
    async (_, isAnalysed) => {
      await stage.reset();
      const run = async (client: pg.PoolClient): Promise<Record<string, unknown>> => {
        const asPool = client as unknown as pg.Pool;
        return {
          lanes: await listParkedLanes(asPool),
          parked: (await claimParked(client, claims)).length,
          due: (await claimDue(client, 7)).length,
          next: await msUntilNextDue(asPool),
          storm: await parkDueOf(client, ['ep_due'], 7),
        };
      };
      const client = await stage.pool.connect();
      try {
        await client.query('set plan_cache_mode = force_generic_plan');
        expect(await run(client)).toEqual({ lanes: [], parked: 0, due: 0, next: null, storm: 0 });
        await stage.fillIndex(MANY, 'ep_parked', true);
        await stage.fillIndex(MANY, 'ep_due');
        await stage.fillIndex(5, 'ep_few', true);
        if (isAnalysed) await stage.pool.query('vacuum analyze schedule.due');
        const lanes = ['ep_few', 'ep_parked'];
        expect(await run(client)).toEqual({ lanes, parked: 12, due: 7, next: null, storm: 7 });
        for (const statement of [
          '"list-parked-lanes"',
          `"claim-parked" ('{ep_parked,ep_few}', '{7,7}')`,
          '"claim-due" (7)',
          '"next-due"',
          `"park-due-of" ('{ep_due}', 7)`,
        ]) {
          const { scans, mostRows } = await howRead(client, `execute ${statement}`);
          expect(scans.filter((scan) => scan === 'Seq Scan')).toEqual([]);
          // What was parked a moment ago is passed over once more.
          expect({ statement, mostRows, isBounded: mostRows <= 20 }).toEqual({
            statement,
            mostRows,
            isBounded: true,
          });
        }
      } finally {
        client.release(true);
      }
    },
    60_000,
  );
});

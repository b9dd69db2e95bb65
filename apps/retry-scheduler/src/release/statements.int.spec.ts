import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
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
          const { scans, mostRows } = await explain(client, statement);
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

interface Plan {
  'Node Type': string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: Plan[];
}

/** Runs a prepared statement once more; how it read, and the most rows that one of its steps saw. */
async function explain(
  client: pg.PoolClient,
  statement: string,
): Promise<{ scans: string[]; mostRows: number }> {
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    `explain (analyze, format json) execute ${statement}`,
  );
  const nodes: Plan[] = [];
  const visit = (plan: Plan): void => {
    nodes.push(plan);
    plan.Plans?.forEach(visit);
  };
  for (const row of rows) visit(row['QUERY PLAN'][0].Plan);
  const seen = nodes.map(
    (node) => (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
  );
  return { scans: nodes.map((node) => node['Node Type']), mostRows: Math.max(...seen) };
}

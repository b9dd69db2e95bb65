import { topics } from '@posthaste/contracts';
import { fenced, plansOf, timeRuns, type Times } from '@posthaste/test-kit';
import type pg from 'pg';
import { indexState } from '../due-index/sql/index-state.js';
import { loadOwed } from '../due-index/sql/load-owed.js';
import { recallReleased } from '../ordering/recall-released.js';
import { letFirstGo } from '../ordering/sql/let-first-go.js';
import { listOwedKeys } from '../ordering/sql/list-owed-keys.js';
import { loadPlaces } from '../ordering/sql/load-places.js';
import { ParkingLot } from '../parking/parking-lot.js';
import { releaseDue, type ReleaseParts } from '../release/release-batch.js';
import { claimDue } from '../release/sql/claim-due.js';
import { claimParked } from '../release/sql/claim-parked.js';
import { hastenDue } from '../release/sql/hasten-due.js';
import { listParkedLanes } from '../release/sql/list-parked-lanes.js';
import { msUntilNextDue } from '../release/sql/next-due.js';
import { parkDueOf } from '../release/sql/park-due.js';
import { type FilledDueIndex, someKeys, someOwed } from './filled-due-index.js';
import { answerTo, everythingKnown } from './release-stage.js';
import { watching } from './watching.js';

/** A statement of the service; answers how many rows it returned or changed. */
interface Asked {
  name: string;
  run: (client: pg.PoolClient) => Promise<number>;
  runs?: number;
}

interface Figure extends Times {
  name: string;
  rows: number;
  /** Of 8 KB, that the server looked at. */
  pages: number;
  plan: string[];
}

const RUNS = 20;
/** Whose plans are written down. */
const SHOWN = [
  'what is due',
  'when the next',
  'one each of 100',
  'the first of 100',
  'keys of a',
  'an endpoint due',
];

/**
 * Each statement of the service in a transaction that is rolled back; then all that is due is released, and two of them
 * again. Last those that would leave dead rows where it is looked for what is due.
 */
export async function releaseFigures(
  pool: pg.Pool,
  filled: FilledDueIndex,
): Promise<{ lines: string[]; plans: string[] }> {
  const figures: Figure[] = [];
  for (const asked of await statements(pool, filled)) figures.push(await measure(pool, asked));
  const releases = await releaseAll(pool);
  for (const asked of atTheFront) {
    figures.push(await measure(pool, { ...asked, name: `${asked.name}, once all was released` }));
  }
  for (const asked of hastening(filled)) figures.push(await measure(pool, asked));
  const row = ({ name, rows, firstMs, medianMs, worstMs, serverMs, pages }: Figure): string =>
    `| ${name} | ${rows} | ${[firstMs, medianMs, worstMs, serverMs].map((ms) => ms.toFixed(1)).join(' | ')} | ${pages} |`;
  const lines = [
    '## The statements of the service',
    '',
    'In ms: the first run, then the median and the worst of the others, and what the server spent of a processor for one',
    '(the first included); and how many pages of 8 KB one looked at.',
    '',
    '| statement | rows | first | median | worst | processor | pages |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...figures.map(row),
    '',
    ...releases,
  ];
  const shown = figures.filter(({ name }) => SHOWN.some((part) => name.includes(part)));
  return { lines, plans: shown.flatMap(({ name, plan }) => fenced(name, plan)) };
}

const atTheFront: Asked[] = [
  { name: 'claim 100 of what is due', run: async (client) => (await claimDue(client, 100)).length },
  {
    name: 'when the next one is due',
    run: async (client) => ((await msUntilNextDue(asPool(client))) === null ? 0 : 1),
  },
];

async function statements(pool: pg.Pool, { endpoints, lanes }: FilledDueIndex): Promise<Asked[]> {
  const owed = (await someOwed(pool, 'not parked and not held', 250)).map(({ delivery }) => delivery);
  const strange = owed.map((delivery) => `${delivery.slice(0, -4)}none`);
  const inKeys = (await someOwed(pool, `key_state = 'behind'`, 100)).map(({ delivery }) => delivery);
  const keys = await someKeys(pool, 100);
  const oneOfEach = lanes.slice(0, 100).map((endpoint) => ({ endpoint, limit: 1 }));
  const [lane = '', stormy = ''] = [lanes[0], endpoints[7_919]];
  return [
    ...atTheFront,
    {
      name: 'park what is due of an endpoint, among 5,000',
      run: (client) => parkDueOf(client, [stormy], 5_000),
    },
    {
      name: 'which lanes have something parked',
      run: async (client) => (await listParkedLanes(asPool(client))).length,
    },
    {
      name: 'claim what is parked, one each of 100 lanes',
      run: async (client) => (await claimParked(client, oneOfEach)).length,
    },
    {
      name: 'claim what is parked, 100 of one lane',
      run: async (client) => (await claimParked(client, [{ endpoint: lane, limit: 100 }])).length,
    },
    {
      name: 'what 250 deliveries are owed: nothing',
      run: async (client) => (await loadOwed(asPool(client), strange)).length,
    },
    {
      name: 'what 250 deliveries are owed: something',
      run: async (client) => (await loadOwed(asPool(client), owed)).length,
    },
    {
      name: 'where 100 stand in their keys',
      run: async (client) => (await loadPlaces(client, inKeys)).length,
    },
    {
      name: 'let the first of 100 keys go, all of which wait for their time',
      run: async (client) => (await letFirstGo(client, keys)).length,
    },
    {
      name: 'the keys of a partition',
      run: async (client) => (await listOwedKeys(asPool(client), 0)).keys.length,
    },
    { name: 'recall what was not answered', run: (client) => recallReleased(asPool(client)) },
    { name: 'what the metrics ask', run: (client) => indexState(asPool(client)).then(() => 1) },
  ];
}

function hastening({ endpoints }: FilledDueIndex): Asked[] {
  const gone = endpoints.slice(4_000, 4_100);
  return [
    {
      name: 'make all that is owed to an endpoint due',
      run: (client) => hastened(client, gone.slice(0, 1)),
      runs: 4,
    },
    {
      name: 'make all that is owed to 100 endpoints due',
      run: (client) => hastened(client, gone),
      runs: 4,
    },
  ];
}

async function hastened(client: pg.PoolClient, endpoints: string[]): Promise<number> {
  let changed = 0;
  const counting = async (statement: pg.QueryConfig): Promise<void> => {
    changed = (await client.query(statement)).rowCount ?? 0;
  };
  await hastenDue({ query: counting } as unknown as pg.Pool, endpoints);
  return changed;
}

async function measure(pool: pg.Pool, { name, run, runs = RUNS }: Asked): Promise<Figure> {
  const client = await pool.connect();
  try {
    const { last: rows = 0, ...times } = await timeRuns(client, runs, () => run(client), { isUndone: true });
    await client.query('begin');
    const plan = await plansOf(client, (explaining) => run(explaining as pg.PoolClient));
    await client.query('rollback');
    console.error(`${name}: ${rows} in ${times.medianMs.toFixed(1)} ms`);
    return { name, rows, ...times, pages: pagesOf(plan), plan };
  } finally {
    client.release();
  }
}

/** The connection as a pool that stays in its transaction. */
function asPool(client: pg.PoolClient): pg.Pool {
  const query = (statement: string | pg.QueryConfig, values?: unknown[]): unknown =>
    statement === 'begin' || statement === 'commit' ? undefined : client.query(statement as string, values);
  const connect = async (): Promise<unknown> => ({ query, release: () => undefined });
  return { query, connect } as unknown as pg.Pool;
}

/** The first line of buffers of a plan has those of all its steps; plans are an empty line apart. */
function pagesOf(plan: string[]): number {
  return plan
    .join('\n')
    .split('\n\n')
    .map((one) => /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/.exec(one))
    .reduce((sum, found) => sum + Number(found?.[1] ?? 0) + Number(found?.[2] ?? 0), 0);
}

/** Batch after batch, as the timer does it; history and the log answer at once, and every delivery succeeds at once. */
export function partsAround(pool: pg.Pool): ReleaseParts {
  const lot = new ParkingLot();
  return {
    pool,
    lot,
    versionOf: () => 0,
    payloads: everythingKnown,
    producer: {
      append: async (records) => {
        for (const record of records) lot.notice(answerTo(topics.due.decode(record), { kind: 'delivered' }));
        return [];
      },
    },
  };
}

async function releaseAll(pool: pg.Pool): Promise<string[]> {
  const statementTimes = new Map<string, number[]>();
  const watched = watching(pool, (name, ms) => {
    const times = statementTimes.get(name);
    if (times) times.push(ms);
    else statementTimes.set(name, [ms]);
  });
  const parts = partsAround(watched);
  const batches: number[] = [];
  let released = 0;
  for (let more = true; more;) {
    const startedAt = performance.now();
    const outcome = await releaseDue(parts);
    batches.push(performance.now() - startedAt);
    released += outcome.released;
    more = outcome.more;
  }
  const seconds = batches.reduce((sum, ms) => sum + ms, 0) / 1_000;
  const row = (name: string, times: number[]): string => {
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
    return `| ${name} | ${times.length} | ${at(0.5)} | ${at(0.99)} | ${(sorted.at(-1) ?? 0).toFixed(1)} |`;
  };
  return [
    '## Releasing all that is due',
    '',
    `${released} in ${batches.length} batches of 100 at most: ${Math.round(released / seconds)} a second by one replica, when`,
    'history and the log answer at once. In ms:',
    '',
    '| | times | median | 99 of 100 | worst |',
    '| --- | --- | --- | --- | --- |',
    row('a batch', batches),
    ...[...statementTimes].map(([name, times]) => row(`\`${name}\``, times)),
  ];
}

import type { EventLog } from '@posthaste/event-log';
import { Runs } from '@posthaste/rebuild';
import { explain, fenced, withoutIndexes } from '@posthaste/test-kit';
import { migrate } from '@posthaste/runtime';
import pg from 'pg';
import { besideDue } from '../rebuild/beside-due.js';
import { Gate } from '../rebuild/gate.js';
import { dueRebuildMigrations, REBUILD_SCHEMA } from '../rebuild/index.js';
import { swapDue } from '../rebuild/swap-due.js';
import { releaseDue } from '../release/release-batch.js';
import type { FilledDueIndex } from './filled-due-index.js';
import { partsAround } from './release-figures.js';
import { watching } from './watching.js';

const RUN = 'figures';
const GONE_ENDPOINTS = 10;

/**
 * How long releases wait for the swap of a rebuild. The next index is a copy of the live one, but for what the swap has
 * to take over: of 10,000 deliveries one is not in it, and one in a thousand is in it only, as if it had been handed over;
 * what was handed over of keys is not marked so, and of what is parked one in fifty is not.
 *
 * @param pool for what takes its time
 * @param releasing the service's
 */
export async function swapFigures(
  url: string,
  { pool, releasing, filled }: { pool: pg.Pool; releasing: pg.Pool; filled: FilledDueIndex },
): Promise<{ lines: string[]; plans: string[] }> {
  await migrate(url, REBUILD_SCHEMA, dueRebuildMigrations);
  await besideDue.create(url);
  await withoutIndexes(pool, besideDue.next, ['due'], () => pool.query(COPY));
  await pool.query('insert into schedule_next.position select * from schedule.position');
  await pool.query(`delete from schedule.due where hashtextextended(delivery, 1) % 1000 = 0`);
  await pool.query('vacuum (analyze)');
  const runs = new Runs(pool, REBUILD_SCHEMA);
  await runs.insert(RUN, Date.now());
  const run = await runs.atWork();
  if (!run) throw new Error('it was not noted');

  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  const steps: { statement: string; ms: number }[] = [];
  const plans: string[] = [];
  const parts = {
    pool,
    runs,
    run,
    gone: () => filled.endpoints.slice(0, GONE_ENDPOINTS),
    onStep: () => undefined,
  };
  const gate = new Gate(
    { loadPositions: async () => [], apply: async () => 'applied' },
    async () => undefined,
  );
  // It held all that is needed from its start.
  const log = { admin: { startOffsets: async () => [] } } as unknown as EventLog;
  const watched = watching(explaining(client, plans), (statement, ms) => steps.push({ statement, ms }));
  const waiting = worstRelease(releasing);
  const { signal } = new AbortController();
  // One that takes too long says so, and is a figure too.
  const outcome = await swapDue(watched, { ...parts, log, gate, signal }).catch(String);
  const { worstMs, refused } = await waiting.stop();
  const [compared] = (await runs.latest())?.tables ?? [];
  await client.end();

  const held = steps.slice(steps.findIndex(({ statement }) => statement.startsWith('lock table')));
  const heldMs = held.reduce((sum, { ms }) => sum + ms, 0);
  console.error(
    `${outcome}: held for ${heldMs.toFixed(0)} ms, a release waited for ${worstMs.toFixed(0)} ms`,
  );
  const isWorthSaying = ({ ms }: { ms: number }): boolean => ms > heldMs / 100;
  const lines = [
    '## The swap of a rebuild',
    '',
    `${outcome}; ${compared?.live} were live, ${compared?.rebuilt} rebuilt and ${compared?.missing} missing, ${GONE_ENDPOINTS} endpoints were gone. The locks were held for`,
    `**${(heldMs / 1_000).toFixed(1)} s**, and the release that waited longest took ${(worstMs / 1_000).toFixed(1)} s${refused > 0 ? `; ${refused} gave up and were tried again` : ''}. Of that, what took more than a hundredth:`,
    '',
    '| statement | s |',
    '| --- | --- |',
    ...held
      .filter(isWorthSaying)
      .map(({ statement, ms }) => `| \`${onOneLine(statement)}\` | ${(ms / 1_000).toFixed(2)} |`),
  ];
  return { lines, plans: fenced('the swap', plans) };
}

/** Releases all the while, as the timer does; what it gave up is tried again. */
function worstRelease(pool: pg.Pool): { stop(): Promise<{ worstMs: number; refused: number }> } {
  const parts = partsAround(pool);
  let [isOver, worstMs, refused] = [false, 0, 0];
  const releasing = (async () => {
    let sinceMs = performance.now();
    while (!isOver) {
      const isDone = await releaseDue(parts).then(
        () => true,
        () => false,
      );
      worstMs = Math.max(worstMs, performance.now() - sinceMs);
      if (isDone) sinceMs = performance.now();
      else refused++;
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await releasing;
      return { worstMs, refused };
    },
  };
}

/** Its plans of what it does to whole tables, as it would carry them out. */
function explaining(client: pg.Client, plans: string[]): pg.Client {
  const query = async (statement: string | pg.QueryConfig, values?: unknown[]): Promise<unknown> => {
    const text = typeof statement === 'string' ? statement : statement.text;
    if (/schedule_next\.due/.test(text)) {
      const plan = await explain(client, 'costs off', statement, values);
      plans.push(...(plans.length > 0 ? [''] : []), `-- ${onOneLine(text)}`, ...plan);
    }
    return typeof statement === 'string' ? client.query(statement, values) : client.query(statement);
  };
  return new Proxy(client, {
    get: (target, name) => (name === 'query' ? query : (Reflect.get(target, name) as unknown)),
  });
}

function onOneLine(statement: string): string {
  const text = statement.replace(/\s+/g, ' ').trim();
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

const COLUMNS = `due_at, attempt, delivery, message, tenant, account, endpoint, trigger, reason, partition, ordering_key,
  position`;

const COPY = `insert into schedule_next.due (${COLUMNS}, parked, key_state)
select ${COLUMNS}, parked and hashtextextended(delivery, 2) % 50 <> 0,
  case key_state when 'released' then 'first' else key_state end
from schedule.due where hashtextextended(delivery, 3) % 10000 <> 0`;

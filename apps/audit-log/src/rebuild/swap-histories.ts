import { setTimeout as sleep } from 'node:timers/promises';
import type { RebuildRun, Runs, SwapOutcome, TableComparison } from '@posthaste/rebuild';
import type pg from 'pg';
import { besideHistory, NEXT } from './next-history.js';

/** The projection waits for us meanwhile: it gives a statement ten seconds. */
const HELD_MS = 5_000;
const POLL_MS = 20;

/**
 * Makes the rebuilt history the live one, in one transaction: readers see the old tables until it commits, and the new
 * ones from then on. The projection's positions are tables of the two schemas and are swapped with the rows they are
 * the positions of.
 *
 * The live projection is held back by a lock on its positions until the rebuilt history has all that the live one has,
 * so nobody sees a row go. The rebuilt one may be a little ahead: the live projection finds its positions moved, as if
 * another replica had been faster, and goes on from there.
 */
export async function swapHistories(
  client: pg.ClientBase,
  pool: pg.Pool,
  { runs, run, tables }: { runs: Runs; run: RebuildRun; tables: TableComparison[] },
  beforeCommit: () => void,
): Promise<SwapOutcome> {
  await client.query('begin');
  let outcome: SwapOutcome = 'not caught up';
  try {
    await client.query(`set local lock_timeout = '${HELD_MS}ms'`);
    if (!(await runs.complete(client, run.id, tables))) return (outcome = 'cancelled');
    await client.query('lock table history.position in exclusive mode');
    if (await besideHistory.isOutdated(client)) return (outcome = 'outdated');
    if (!(await whenAhead(pool))) return outcome;
    // Ends the rebuild's own transaction, if one is running.
    await client.query(`lock table ${NEXT}.position in exclusive mode`);
    await besideHistory.putInPlace(client);
    beforeCommit();
    outcome = 'swapped';
    return outcome;
  } finally {
    await client.query(outcome === 'swapped' ? 'commit' : 'rollback');
  }
}

/** The rebuilt history is where the live one stands, which stands still. */
async function whenAhead(pool: pg.Pool): Promise<boolean> {
  const deadline = performance.now() + HELD_MS;
  while (performance.now() < deadline) {
    const { rows } = await pool.query<{ behind: number }>(
      `select count(*)::int as behind from history.position l left join ${NEXT}.position n using (topic, partition)
       where coalesce(n.next, 0) < l.next`,
    );
    if (rows[0]?.behind === 0) return true;
    await sleep(POLL_MS);
  }
  return false;
}

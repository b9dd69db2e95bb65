import { setTimeout as sleep } from 'node:timers/promises';
import { topics } from '@posthaste/contracts';
import type { EventLog, Position } from '@posthaste/event-log';
import type { RebuildRun, Runs, SwapOutcome, TableComparison } from '@posthaste/rebuild';
import type pg from 'pg';
import { besideDue } from './beside-due.js';
import type { Gate } from './gate.js';

/** How long releases and the live projection are kept waiting for one of the steps, at most. */
const HELD_MS = 3_000;
/** The live index may be behind for its own reasons; meanwhile nobody waits. */
const LIVE_MS = 30_000;
const POLL_MS = 20;

export interface SwapParts {
  log: EventLog;
  pool: pg.Pool;
  runs: Runs;
  run: RebuildRun;
  gate: Gate;
  /** Of partitions that the log holds nothing of, none is waited for. */
  unreadable: (live: Position[]) => Promise<Position[]>;
  takeOver: (live: Position[]) => Promise<TableComparison>;
  onStep: (step: 'compared' | 'swapping') => void;
}

/**
 * Makes the next index the live one.
 *
 *   next held, live ahead of it --> live held, no release under way --> next where live is --> taken over (committed)
 *     --> nobody reads live either --> next past live wherever the log is --> renamed
 *
 * Standing at the same positions, the two differ by what is wrong, and by what is known of the live one only. The last
 * step past it is for a batch that the live projection has worked out already, from rows that may be wrong: it finds its
 * positions moved, and is worked out again.
 *
 * @param client a connection of its own; its locks go with it
 */
export async function swapDue(client: pg.ClientBase, parts: SwapParts): Promise<SwapOutcome> {
  const { pool, gate } = parts;
  await gate.hold();
  let outcome: SwapOutcome = 'not caught up';
  try {
    const held = await positionsOf(pool, besideDue.next);
    if (!(await whenThere(pool, besideDue.live, held, LIVE_MS))) return outcome;
    await client.query('begin');
    try {
      outcome = await swapHeld(client, parts);
    } finally {
      await client.query(outcome === 'swapped' ? 'commit' : 'rollback');
    }
    return outcome;
  } finally {
    if (outcome !== 'swapped') gate.open();
  }
}

async function swapHeld(client: pg.ClientBase, parts: SwapParts): Promise<SwapOutcome> {
  const { log, pool, gate, runs, run, onStep } = parts;
  await client.query(`set local lock_timeout = ${HELD_MS}`);
  await client.query('lock table schedule.position in exclusive mode');
  await client.query('lock table schedule.due in exclusive mode');
  if (await besideDue.isOutdated(client)) return 'outdated';
  const live = await positionsOf(pool, besideDue.live);
  gate.limit(live);
  const unreadable = new Set((await parts.unreadable(live)).map(({ partition }) => partition));
  const readable = live.filter(({ partition }) => !unreadable.has(partition));
  if (!(await whenThere(pool, besideDue.next, readable, HELD_MS))) return 'not caught up';
  const compared = await parts.takeOver(live);
  onStep('compared');
  await client.query('lock table schedule.due in access exclusive mode');
  gate.open();
  if (!(await whenThere(pool, besideDue.next, await onePast(log, live), HELD_MS))) return 'not caught up';
  if (!(await runs.complete(client, run.id, [compared]))) return 'cancelled';
  // Ends the rebuild's own transaction, if one is running.
  await client.query(`lock table ${besideDue.next}.position, ${besideDue.next}.due in access exclusive mode`);
  await besideDue.putInPlace(client);
  onStep('swapping');
  return 'swapped';
}

/** One record further, where there is one. */
async function onePast(log: EventLog, live: Position[]): Promise<Position[]> {
  const ends = await log.admin.endOffsets(topics.deliveries);
  const endOf = new Map(ends.map(({ partition, offset }) => [partition, offset]));
  return live
    .filter(({ partition, offset }) => (endOf.get(partition) ?? 0) > offset)
    .map((position) => ({ ...position, offset: position.offset + 1 }));
}

async function positionsOf(pool: pg.Pool, schema: string): Promise<Position[]> {
  const { rows } = await pool.query<Position>(
    `select topic, partition, next as offset from ${schema}.position order by topic, partition`,
  );
  return rows;
}

async function whenThere(pool: pg.Pool, schema: string, ends: Position[], mostMs: number): Promise<boolean> {
  const deadline = performance.now() + mostMs;
  while (performance.now() < deadline) {
    const at = new Map((await positionsOf(pool, schema)).map(({ partition, offset }) => [partition, offset]));
    if (ends.every(({ partition, offset }) => (at.get(partition) ?? 0) >= offset)) return true;
    await sleep(POLL_MS);
  }
  return false;
}

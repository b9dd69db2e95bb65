import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog, Position } from '@posthaste/event-log';
import type { RebuildRun, Runs, SwapOutcome } from '@posthaste/rebuild';
import type pg from 'pg';
import { besideDue } from './beside-due.js';
import { emptied, noteForgotten } from './forgotten.js';
import type { Gate } from './gate.js';
import { takeOver } from './take-over.js';

/** How long releases and the live projection are kept waiting for one of the steps, at most. */
const HELD_MS = 3_000;
/** The live index may be behind for its own reasons; meanwhile nobody waits. */
const LIVE_MS = 30_000;
const POLL_MS = 20;

/** Whole tables are compared, under the locks. */
const STATEMENT_MS = 60_000;

export interface SwapParts {
  log: EventLog;
  /** None of those that releases use: they may all be waiting for us. */
  pool: pg.Pool;
  runs: Runs;
  run: RebuildRun;
  gate: Gate;
  gone: () => string[];
  signal: AbortSignal;
  onStep: (step: 'compared' | 'swapping') => void;
}

/**
 * Makes the next index the live one.
 *
 *   next held, live ahead of it --> live held, no release under way --> next where live is --> taken over --> renamed
 *
 * At the same positions the two differ by what is wrong, and by what is known of the live one only. And so every replica
 * goes on with the very next event: what it keeps in memory misses none. A batch it has worked out already, from rows
 * that may be wrong, it works out again: it finds another table of positions.
 *
 * @param client a connection of its own; its locks go with it
 */
export async function swapDue(client: pg.ClientBase, parts: SwapParts): Promise<SwapOutcome> {
  const { pool, gate, signal } = parts;
  await gate.hold();
  let outcome: SwapOutcome = 'not caught up';
  try {
    const held = await positionsOf(pool, besideDue.next);
    if (!(await whenThere(pool, besideDue.live, held, { mostMs: LIVE_MS, signal }))) return outcome;
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
  const { log, pool, gate, runs, run, gone, signal, onStep } = parts;
  await client.query(`set local lock_timeout = ${HELD_MS}; set local statement_timeout = ${STATEMENT_MS}`);
  await client.query('lock table schedule.position in exclusive mode');
  await client.query('lock table schedule.due in exclusive mode');
  if (await besideDue.isOutdated(client)) return 'outdated';
  const live = await positionsOf(pool, besideDue.live);
  gate.limit(live);
  const unreadable = new Set((await emptied(log, live)).map(({ partition }) => partition));
  for (const partition of unreadable) await noteForgotten(pool, run.id, { partition, until: Date.now() });
  const readable = live.filter(({ partition }) => !unreadable.has(partition));
  if (!(await whenThere(pool, besideDue.next, readable, { mostMs: HELD_MS, signal }))) return 'not caught up';
  const compared = await takeOver(client, live, { run: run.id, gone: gone() });
  onStep('compared');
  if (!(await runs.complete(client, run.id, [compared]))) return 'cancelled';
  await besideDue.putInPlace(client);
  onStep('swapping');
  return 'swapped';
}

async function positionsOf(pool: pg.Pool, schema: string): Promise<Position[]> {
  const { rows } = await pool.query<Position>(
    `select topic, partition, next as offset from ${schema}.position order by topic, partition`,
  );
  return rows;
}

async function whenThere(
  pool: pg.Pool,
  schema: string,
  ends: Position[],
  { mostMs, signal }: { mostMs: number; signal: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + mostMs;
  while (performance.now() < deadline && !signal.aborted) {
    const at = new Map((await positionsOf(pool, schema)).map(({ partition, offset }) => [partition, offset]));
    if (ends.every(({ partition, offset }) => (at.get(partition) ?? 0) >= offset)) return true;
    await sleep(POLL_MS);
  }
  return false;
}

import type { Topic } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import type pg from 'pg';
import type { Beside } from './beside.js';
import type { RebuildRun, Runs, TableComparison } from './runs.js';

/**
 * One rebuild of a projection, beside the live one and without its readers noticing.
 *
 *   empty tables --> filled from the log's start, up to its end --> made ready and compared
 *     --> swapped, in one transaction --> the old tables dropped
 *
 * What is here is the frame. Filling, comparing and swapping are the projection's own: only it knows what lives in its
 * tables and not in the log.
 *
 * It may be killed anywhere. Until the swap has committed the live tables are as they were, and whoever takes the
 * rebuild up again goes on from the position the next tables have, or begins again when they are not of this rebuild.
 * After the swap nothing is left to do but drop what is old.
 */
export type RebuildStep = 'created' | 'applied' | 'filled' | 'compared' | 'swapping' | 'swapped' | 'dropped';

export interface Rebuildable {
  /** Of the schemas, in sentences for people. */
  name: string;
  log: EventLog;
  topics: Pick<Topic, 'name'>[];
  /** PostgreSQL, for migrations. */
  url: string;
  beside: Beside;
  runs: Runs;
  /** Why it cannot be rebuilt from the log as it is now: a sentence; undefined when it can. */
  whyNot: () => Promise<string | undefined>;
  /** Ends when it has swapped, or was told to stop. Throws RebuildFailed when it ends without a swap. */
  fillAndSwap: (client: pg.Client, run: RebuildRun, signal: AbortSignal) => Promise<void>;
  onStep: (step: RebuildStep) => void;
}

/** Ends a rebuild with a sentence for whoever asked for it. */
export class RebuildFailed extends Error {
  constructor(
    message: string,
    readonly tables?: TableComparison[],
  ) {
    super(message);
  }
}

/** @param client holds the lock that makes us the only one at it; the swap is made on it. */
export async function rebuild(
  parts: Rebuildable,
  client: pg.Client,
  run: RebuildRun,
  signal: AbortSignal,
): Promise<void> {
  const { beside, runs, onStep } = parts;
  try {
    await beside.dropOld(client);
    await prepareNext(parts, client, run);
    await parts.fillAndSwap(client, run, signal);
    if (signal.aborted) return;
    await beside.dropOld(client);
    onStep('dropped');
  } catch (error) {
    if (!(error instanceof RebuildFailed)) throw error;
    const tables = error.tables ? { tables: error.tables } : {};
    await runs.end(run.id, { status: 'failed', reason: error.message, ...tables });
    await beside.dropNext(client);
  }
}

async function prepareNext(
  { beside, url, whyNot, onStep }: Rebuildable,
  client: pg.ClientBase,
  { id }: RebuildRun,
): Promise<void> {
  const gone = await whyNot();
  if (gone !== undefined) throw new RebuildFailed(gone);
  if ((await beside.owner(client)) === id && !(await beside.isOutdated(client))) return;
  await beside.dropNext(client);
  await beside.create(url);
  await beside.claim(client, id);
  onStep('created');
}

export type SwapOutcome = 'swapped' | 'cancelled' | 'outdated' | 'not caught up';

const SWAP_TRIES = 5;

/** Answers false when it was told to stop. */
export async function swapWhenCaughtUp(
  name: string,
  caughtUp: () => Promise<boolean>,
  swap: () => Promise<SwapOutcome>,
): Promise<boolean> {
  for (let tries = 0; tries < SWAP_TRIES; tries++) {
    if (!(await caughtUp())) return false;
    const outcome = await swap();
    if (outcome === 'swapped') return true;
    if (outcome === 'cancelled') throw new RebuildFailed('cancelled');
    if (outcome === 'outdated') throw new RebuildFailed(`Another version changed the tables of ${name}.`);
  }
  throw new RebuildFailed(`The rebuilt ${name} did not catch up with the live one.`);
}

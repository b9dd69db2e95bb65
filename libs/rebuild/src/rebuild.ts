import type { Topic } from '@posthaste/contracts';
import type { EventLog, ProjectionStore } from '@posthaste/event-log';
import type pg from 'pg';
import type { Beside } from './beside.js';
import { RebuildFailed } from './errors.js';
import { startFilling } from './filling.js';
import type { RebuildRun, Runs } from './runs.js';

/**
 * One rebuild of a projection, beside the live one and without its readers noticing.
 *
 *   empty tables --> filled from the log's start, up to its end --> made ready and compared
 *     --> swapped, in one transaction --> the old tables dropped
 *
 * What is here is the frame. What fills the tables, makes them ready, compares and swaps them is the projection's own
 * (OwnSteps): only it knows what lives in its tables and not in the log.
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
  /** The readers of the log that fill the next tables. */
  group: string;
  topics: Pick<Topic, 'name'>[];
  /** PostgreSQL, for migrations. */
  url: string;
  pool: pg.Pool;
  beside: Beside;
  runs: Runs;
  /** Why it cannot be rebuilt from the log as it is now: a sentence; undefined when it can. */
  whyNot: () => Promise<string | undefined>;
  stepsOf: (work: RebuildWork) => OwnSteps;
  onStep: (step: RebuildStep) => void;
  onRetry: (error: unknown) => void;
}

export interface RebuildWork {
  /** Holds the lock that makes us the only one at it; the swap is made on it. */
  client: pg.ClientBase;
  run: RebuildRun;
  /** To stop, and leave the rest to whoever takes the rebuild up again. */
  signal: AbortSignal;
}

/** What of one rebuild is the projection's own. */
export interface OwnSteps {
  /** Fills the next tables. */
  store: ProjectionStore;
  /**
   * Called once they are filled; answers what swaps them, or undefined when it was told to stop. The swap is tried again
   * when it finds that they are behind. Throws RebuildFailed when they must not be put in place.
   *
   * @param caughtUp they have what the log holds now; false when told to stop before
   */
  makeReady: (caughtUp: () => Promise<boolean>) => Promise<(() => Promise<SwapOutcome>) | undefined>;
  /** However it ended, and before filling stops: what waits in the store would hold that up. */
  close?: () => void;
}

export type SwapOutcome = 'swapped' | 'cancelled' | 'outdated' | 'not caught up';

export async function rebuild(parts: Rebuildable, work: RebuildWork): Promise<void> {
  const { beside, runs, onStep } = parts;
  const { client, run, signal } = work;
  try {
    await beside.dropOld(client);
    await prepareNext(parts, work);
    await fillAndSwap(parts, work);
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
  { client, run: { id } }: RebuildWork,
): Promise<void> {
  const gone = await whyNot();
  if (gone !== undefined) throw new RebuildFailed(gone);
  if ((await beside.owner(client)) === id && !(await beside.isOutdated(client))) return;
  await beside.dropNext(client);
  await beside.create(url);
  await beside.claim(client, id);
  onStep('created');
}

/** Ends when it has swapped, or was told to stop. */
async function fillAndSwap(parts: Rebuildable, work: RebuildWork): Promise<void> {
  const { name, onStep } = parts;
  const { store, makeReady, close } = parts.stepsOf(work);
  const filling = await startFilling({
    ...parts,
    store,
    run: work.run.id,
    signal: work.signal,
    onApplied: () => onStep('applied'),
  });
  const caughtUp = (): Promise<boolean> => filling.caughtUp();
  try {
    if (!(await caughtUp())) return;
    onStep('filled');
    const swap = await makeReady(caughtUp);
    if (!swap || !(await swapWhenCaughtUp(name, caughtUp, swap))) return;
    filling.swapped();
    onStep('swapped');
  } finally {
    close?.();
    await filling.stop();
  }
}

const SWAP_TRIES = 5;

/** Answers false when it was told to stop. */
async function swapWhenCaughtUp(
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

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { endsOf } from '@posthaste/event-log';
import pg from 'pg';
import type { Beside } from './beside.js';
import { rebuild, type Rebuildable } from './rebuild.js';
import type { RebuildRun } from './runs.js';

/**
 * Works off what was asked for. Every replica of the projection's service runs one: whoever gets the lock rebuilds, and
 * when that process dies the next one takes over, so a rebuild needs nobody to look after it.
 */
export interface RunningRebuilds {
  /** Asks for a rebuild, unless one is at work. The refusal is a sentence. */
  start(): Promise<{ refused: string } | RebuildProgress>;
  cancel(): Promise<void>;
  /** The one at work, or the latest. */
  progress(): Promise<RebuildProgress | undefined>;
  /** Why one that was asked for now would be refused. */
  obstacle(): Promise<string | undefined>;
  stop(): Promise<void>;
}

/** Records of the log: applied to the next tables, and there to be applied. */
export interface RebuildProgress extends RebuildRun {
  applied: number;
  total: number;
}

/** Also how soon a rebuild is taken over from a process that died. */
const POLL_MS = 1_000;
/** Any constant does, as long as it stays; the second half is the projection's. */
const LOCK_CLASS = 0x706f7374;

export interface RebuildLoopOptions extends Rebuildable {
  /** A constant that stays, and that no other projection has. */
  lock: number;
  /** The live tables have what the log held at start: before that they are being rebuilt already. */
  opened: Promise<unknown>;
}

export function startRebuildLoop(options: RebuildLoopOptions): RunningRebuilds {
  const { runs, whyNot } = options;
  const stopping = new AbortController();
  const rest = (): Promise<unknown> =>
    sleep(POLL_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
  const work = async (): Promise<void> => {
    await options.opened;
    while (!stopping.signal.aborted) {
      await workOff(options, stopping.signal).catch((error: unknown) => {
        if (!stopping.signal.aborted) options.onRetry(error);
      });
      await rest();
    }
  };
  const working = work();
  return {
    start: async () => {
      const refused = await whyNot();
      if (refused !== undefined) return { refused };
      await runs.insert(randomUUID(), Date.now());
      return (await progressOf(options)) ?? { refused: 'It was over at once.' };
    },
    cancel: async () => {
      const run = await runs.atWork();
      if (run) await runs.end(run.id, { status: 'cancelled' });
    },
    progress: () => progressOf(options),
    obstacle: () => whyNot(),
    stop: async () => {
      stopping.abort();
      await working;
    },
  };
}

/** Whatever is asked for and nobody is at, and what a process left that died after a swap. */
async function workOff(options: RebuildLoopOptions, signal: AbortSignal): Promise<void> {
  const { pool, url, beside, runs } = options;
  if (!(await runs.hasWork([beside.next, beside.old]))) return;
  const client = new pg.Client({
    connectionString: url,
    application_name: `${beside.live}-rebuild`,
    keepAlive: true,
  });
  client.on('error', () => undefined);
  await client.connect();
  const cancel = (): void => {
    const { processID } = client as unknown as { processID: number };
    void pool.query('select pg_cancel_backend($1)', [processID]).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1, $2) as held', [
      LOCK_CLASS,
      options.lock,
    ]);
    if (!rows[0]?.held) return;
    const run = await runs.atWork();
    if (run) await rebuild(options, { client, run, signal });
    else {
      await beside.dropOld(client);
      await beside.dropNext(client);
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    await client.end();
  }
}

async function progressOf({
  runs,
  log,
  topics,
  pool,
  beside,
}: RebuildLoopOptions): Promise<RebuildProgress | undefined> {
  const run = await runs.latest();
  if (!run) return undefined;
  const total = (await endsOf(log, topics)).reduce((sum, { offset }) => sum + offset, 0);
  if (run.status === 'completed') return { ...run, applied: total, total };
  return { ...run, applied: Math.min(await appliedBy(pool, beside), total), total };
}

async function appliedBy(pool: pg.Pool, { next }: Beside): Promise<number> {
  try {
    const { rows } = await pool.query<{ applied: number }>(
      `select coalesce(sum(next), 0)::bigint as applied from ${next}.position`,
    );
    return rows[0]?.applied ?? 0;
  } catch (error) {
    // Not made yet, or over.
    if (['42P01', '3F000'].includes((error as { code?: string }).code ?? '')) return 0;
    throw error;
  }
}

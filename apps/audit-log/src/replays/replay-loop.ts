import { setTimeout as sleep } from 'node:timers/promises';
import { type DeliveryRequested, topics } from '@posthaste/contracts';
import type { LogProducer } from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { type Requestable, type Scope, selectRequestable } from './sql/select-requestable.js';

/**
 * Runs replays: requests one more attempt of every delivery a replay is about, a page at a time, at the replay's pace.
 *
 *   between pages --(a page is decided, and committed)--> page at hand --(appended, and committed)--> between pages
 *        +--(nothing is left)--> completed
 *
 * Promises: each delivery is requested once per replay, wherever a process dies. A page fixes the numbers of the attempts
 * it requests before the first of them is in the log; appended again, it names attempts that are owed or made already,
 * and changes nothing. Decided anew it would not: a delivery that failed again meanwhile would match once more.
 * The replay's row is locked while its page is appended, so two processes never work on one replay, and one that is
 * paused or cancelled stays so. It does not promise that attempts are made: their endpoint may be disabled by then.
 * Nor does it promise, of a backfill or a copy, that its endpoint had nothing when the page was decided, should the
 * message be routed there in that moment: the attempt it asks for has the number of that one, and is the same.
 */
export interface ReplayLoopOptions {
  pool: pg.Pool;
  producer: Pick<LogProducer, 'append'>;
  /** History has all the log held at start: a replay that ran over one being rebuilt would find nothing, and be over. */
  opened: Promise<unknown>;
  /** Up to when history knows every message there will ever be: a backfill goes no further, and waits there. */
  horizon: () => Promise<number>;
  onFailure: (error: unknown) => void;
}

/** How soon a replay that was started is begun. */
const POLL_MS = 500;
/** A replay that fell behind its pace makes up for so much. */
const CATCH_UP_SECONDS = 1;
const BACKOFF_MS = 2_000;
/** How soon a backfill that waits for history looks again. */
const WAIT_SECONDS = 1;
/** At most so many at once, for a page is one row in the database. */
const PAGE_ROWS = 200;

interface RunningReplay extends Scope {
  id: string;
  rate: number;
  by: string;
  afterAt: number;
  afterId: string;
  page: Requestable[] | null;
}

const RUNNING = `select id, tenant, account, kind, endpoint, to_endpoint as "toEndpoint", since, until, filter, names,
  rate_per_second as rate, requested_by as by, after_at as "afterAt", after_id as "afterId", page
  from replays.replay where status = 'running'`;

type ReplayParts = Pick<ReplayLoopOptions, 'pool' | 'producer' | 'horizon'>;

/** One step of one replay that is due. Answers whether there was any. */
export async function stepReplay({ pool, producer, horizon }: ReplayParts): Promise<boolean> {
  const replay = await inTransaction(pool, async (client) => {
    const { rows } = await client.query<RunningReplay>(
      `${RUNNING} and next_at <= now() order by next_at limit 1 for update skip locked`,
    );
    return rows[0] && (await withPage(client, rows[0], horizon));
  });
  if (replay === undefined) return false;
  if (replay.page === null) return true;
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<RunningReplay>(
      `${RUNNING} and page is not null and id = $1 for update skip locked`,
      [replay.id],
    );
    // Another process was faster, or somebody paused it.
    if (rows[0]) await appendPage(client, producer, rows[0]);
  });
  return true;
}

/** Decides the page at hand, unless there is one; ends the replay when there is nothing left. */
async function withPage(
  client: pg.PoolClient,
  replay: RunningReplay,
  horizon: () => Promise<number>,
): Promise<RunningReplay> {
  if (replay.page !== null) return replay;
  const after = { at: replay.afterAt, id: replay.afterId };
  const until = replay.kind === 'backfill' ? Math.min(replay.until, await horizon()) : replay.until;
  const page = await selectRequestable(client, { ...replay, until }, after, Math.min(replay.rate, PAGE_ROWS));
  if (page.length > 0) {
    await client.query('update replays.replay set page = $2 where id = $1', [
      replay.id,
      JSON.stringify(page),
    ]);
    return { ...replay, page };
  }
  if (until < replay.until) await comeAgain(client, replay.id);
  else await complete(client, replay.id);
  return replay;
}

async function comeAgain(client: pg.PoolClient, replay: string): Promise<void> {
  await client.query('update replays.replay set next_at = now() + make_interval(secs => $2) where id = $1', [
    replay,
    WAIT_SECONDS,
  ]);
}

async function complete(client: pg.PoolClient, replay: string): Promise<void> {
  await client.query(
    `update replays.replay set status = 'completed', finished_at = floor(extract(epoch from now()) * 1000)
     where id = $1`,
    [replay],
  );
}

async function appendPage(
  client: pg.PoolClient,
  producer: Pick<LogProducer, 'append'>,
  replay: RunningReplay,
): Promise<void> {
  const page = replay.page ?? [];
  const at = Date.now();
  const events = page.map((delivery) => requestOf(replay, delivery, at));
  await producer.append(
    events.map((event) => ({ topic: topics.deliveries, ...topics.deliveries.encode(event) })),
  );
  const last = page.at(-1);
  await client.query(
    `update replays.replay set page = null, after_at = $2, after_id = $3, requested = requested + $4,
       next_at = greatest(next_at, now() - make_interval(secs => $6)) + make_interval(secs => $5)
     where id = $1`,
    [replay.id, last?.acceptedAt, last?.cursor, page.length, page.length / replay.rate, CATCH_UP_SECONDS],
  );
}

function requestOf(replay: RunningReplay, delivery: Requestable, at: number): DeliveryRequested {
  return {
    type: 'DeliveryRequested',
    v: 1,
    delivery: delivery.id,
    message: delivery.message,
    tenant: replay.tenant,
    account: replay.account,
    endpoint: delivery.endpoint,
    eventType: delivery.eventType,
    acceptedAt: delivery.acceptedAt,
    attempt: delivery.attempt,
    trigger: delivery.trigger,
    at,
    by: replay.by,
    replay: replay.id,
  };
}

/** By the database's clock; not more than 0: one is due. */
export async function msUntilStep(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ ms: number | null }>(
    `select extract(epoch from min(next_at) - now())::float8 * 1000 as ms from replays.replay where status = 'running'`,
  );
  return rows[0]?.ms ?? POLL_MS;
}

/** Steps until it is stopped; every replica of audit-log runs one. */
export function startReplayLoop(options: ReplayLoopOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const rest = (restMs: number): Promise<void> =>
    sleep(restMs, undefined, { signal: stopping.signal }).catch(() => undefined);
  const run = async (): Promise<void> => {
    await options.opened;
    while (!stopping.signal.aborted) {
      try {
        // Asked first: where nothing is due, which is nearly always, this one query is all.
        const ms = await msUntilStep(options.pool);
        if (ms > 0) await rest(Math.min(ms, POLL_MS));
        // Another process may hold the one that is late.
        else if (!(await stepReplay(options))) await rest(POLL_MS);
      } catch (error) {
        options.onFailure(error);
        await rest(BACKOFF_MS);
      }
    }
  };
  const running = run();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

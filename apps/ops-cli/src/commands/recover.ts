import { setTimeout as sleep } from 'node:timers/promises';
import type { Replay } from '@posthaste/contracts';
import type { Api } from '../api.js';
import type { Command, Context, Given } from '../command.js';
import { Failure } from '../failure.js';
import type { Answer } from '../output.js';
import { durationText, instant, ratePerSecond } from '../quantities.js';
import { replayBlock, replayPath } from './replays.js';

const LOOK_EVERY_MS = 500;
/** For a large replay a look is a large count: it is rested so many times as long as one took. */
const RESTS_FOR_A_LOOK = 9;
/** How often nothing may have changed before those that have not answered are no longer waited for. */
const MOST_SAME_LOOKS = 20;
const BAR_WIDTH = 30;

/**
 * Asks for a replay of what an endpoint lacks, and watches it until its attempts are made. The replay is the server's:
 * whoever stops watching leaves it going.
 */
export const recover: Command = {
  name: 'recover',
  says: 'send an endpoint again what it did not get since a time',
  takes: { words: '<endpoint>', least: 1, most: 1 },
  options: ['since', 'until', 'rate', 'dry-run', 'yes'],
  run: async (given, context) => {
    const api = context.api();
    const path = `/v1/endpoints/${encodeURIComponent(given.words[0] ?? '')}/recover`;
    const body = bodyOf(given, context);
    const asked = await api.post<Replay>(path, { ...body, dry_run: true });
    if (given.dryRun || asked.total === 0) {
      const note = given.dryRun ? 'nothing was requested: --dry-run' : 'it lacks nothing: no replay was made';
      return replayAnswer(asked, note);
    }
    if (asked.total > 1 && !given.yes) {
      throw new Failure('usage', `this would send ${asked.total} messages again`, {
        hint: 'look with --dry-run, then say --yes',
      });
    }
    const { id } = await api.post<Replay>(path, body);
    return watched(api, id ?? '', context);
  },
};

function bodyOf({ options: { since, until, rate } }: Given, { nowMs }: Context): object {
  if (since === undefined)
    throw new Failure('usage', 'recover needs --since', { hint: 'such as --since 2h' });
  const perSecond = rate === undefined ? undefined : ratePerSecond(rate);
  if (perSecond === null || (perSecond !== undefined && !Number.isInteger(perSecond))) {
    throw new Failure('usage', `--rate ${rate} is not so many per second`, { hint: 'such as 100/s' });
  }
  return {
    since: instant('since', since, nowMs()),
    ...(until === undefined ? {} : { until: instant('until', until, nowMs()) }),
    ...(perSecond === undefined ? {} : { rate_per_second: perSecond }),
  };
}

async function watched(api: Api, id: string, context: Context): Promise<Answer> {
  const left = context.interrupted();
  let [seen, same] = ['', 0];
  for (;;) {
    const lookedAtMs = performance.now();
    const replay = await look(api, id);
    const restMs = Math.max(LOOK_EVERY_MS, RESTS_FOR_A_LOOK * (performance.now() - lookedAtMs));
    const { status, requested, succeeded, failed } = replay;
    const now = JSON.stringify([status, requested, succeeded, failed]);
    [seen, same] = [now, now === seen ? same + 1 : 0];
    if (status === 'paused' || status === 'cancelled')
      return replayAnswer(replay, `somebody has ${status} it`);
    const isAnswered = succeeded + failed >= requested || same >= MOST_SAME_LOOKS;
    if (status === 'completed' && isAnswered) {
      const isBad = failed > 0 || succeeded + failed < requested;
      return { ...replayAnswer(replay), ...(isBad ? { note: looking(id) } : {}), isBad };
    }
    if (left.aborted) return replayAnswer(replay, `it goes on: ${looking(id)}`);
    context.progress(progressOf(replay));
    await sleep(restMs, undefined, { signal: left }).catch(() => undefined);
  }
}

/** What keeps us from looking does not keep the replay from going on. */
async function look(api: Api, id: string): Promise<Replay> {
  try {
    return await api.get<Replay>(replayPath(id));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const hint = `the replay goes on: ${looking(id)}`;
    throw new Failure(error.kind, error.message, { ...error.more, hint });
  }
}

const looking = (id: string): string => `posthaste replay show ${id} shows how far it is`;

function replayAnswer(replay: Replay, note?: string): Answer & { kind: 'data' } {
  return {
    kind: 'data',
    json: replay,
    blocks: [replayBlock(replay)],
    ...(note === undefined ? {} : { note }),
  };
}

function progressOf({ total, requested, succeeded, failed, estimated_seconds }: Replay): string {
  const answered = succeeded + failed;
  const done = total === 0 ? BAR_WIDTH : Math.floor((answered / total) * BAR_WIDTH);
  const bar = '#'.repeat(Math.min(done, BAR_WIDTH)).padEnd(BAR_WIDTH, '.');
  const counts = `${requested} of ${total} requested, ${succeeded} arrived, ${failed} failed`;
  return `[${bar}] ${counts}, ${durationText(estimated_seconds * 1_000)} to go  (Ctrl-C leaves it going)`;
}

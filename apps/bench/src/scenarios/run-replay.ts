import { waitFor } from '@posthaste/test-kit';
import type { Bench } from '../product/bench-stack.js';
import { Meter } from '../product/meter.js';
import type { Measurement } from '../results/measurement.js';
import type { CollectedReport } from '../traffic/protocol.js';
import { round } from '../traffic/quantiles.js';
import { nowMs } from '../traffic/stamped-payload.js';
import { type FailedForGood, failForGood } from './failed-for-good.js';
import { HEALTHY_ACCOUNTS } from './fault-scenarios.js';
import {
  collect,
  generate,
  type Load,
  lostOf,
  measureLoad,
  measurementOf,
  rate,
  warmUp,
  type Way,
} from './load.js';
import { wayTo } from './parties.js';
import type { Show } from './run-speed.js';
import type { Sizes } from './scenarios.js';

const FAILED = 100_000;
const LIVE_PER_SECOND = 100;
const LIVE_SECONDS = 20;
/** The most the API takes. */
const ASKED_PER_SECOND = 1_000;
/** A breaker may still be open for its 30 s when the receiver is back. */
const PATIENCE_MS = 95_000;
const MADE_LIMIT_MS = 1_200_000;
/** Each look has the product count what became of all attempts so far. */
const LOOK_EVERY_MS = 5_000;

/** As far as it is looked at here. */
interface Replay {
  id: string;
  created_at: string;
  finished_at: string | null;
  requested: number;
  succeeded: number;
  failed: number;
}

/**
 * Recovers all that one endpoint lacks after a long outage, beside nine accounts that are well: how fast, whether each
 * arrives once, and how much longer the deliveries of the nine take meanwhile. The last run says how much two equal runs
 * differ.
 */
export async function runReplay(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const nine = { accounts: HEALTHY_ACCOUNTS, endpointsEach: 1, behaviour: 'prompt' } as const;
  const live = await wayTo(bench, { name: 'replay-live', ...nine });
  await warmUp(live, sizes.warmUp(), bench);
  const failed = await failForGood(bench, 'replay-failed', sizes.count(FAILED));

  const load = liveLoad(sizes.count(LIVE_SECONDS * LIVE_PER_SECOND));
  const alone = await measureLoad('replay', 'live alone', load, live, bench);
  show(alone);
  const toAlone = ({ endToEndMs }: Measurement): Record<string, number> => ({
    p99_to_that_alone: round(endToEndMs.p99 / alone.endToEndMs.p99),
  });
  const beside = await recoverBeside(live, failed, bench);
  show({ ...beside, figures: { ...beside.figures, ...toAlone(beside) } });
  const again = await measureLoad('replay', 'live alone, again', load, live, bench);
  show({ ...again, figures: toAlone(again) });
}

/** Live traffic goes on for as long as asking for all of it takes at least: there is recovery beside every message. */
async function recoverBeside(live: Way, failed: FailedForGood, bench: Bench): Promise<Measurement> {
  const { workers, stack } = bench;
  const { accepted, refused } = failed.generated;
  const load = liveLoad(Math.ceil(accepted / ASKED_PER_SECOND) * LIVE_PER_SECOND);
  // Both are numbered from 0, at receivers of their own.
  const sent = accepted + refused.length;
  const expected = { messages: Math.max(sent, load.count), endpoints: 1 };
  await workers.receiver.ask({ kind: 'reset', expected });
  const meter = await Meter.start(bench);
  const askedAtMs = nowMs();
  const replay = await recover(failed, bench);
  const [generated, recovered, requestedPerSecond] = await Promise.all([
    generate(live, load, workers.generator),
    collect(failed.way, accepted, PATIENCE_MS, workers),
    whenMade(replay, bench),
  ]);
  const collected = await collect(live, generated.accepted, PATIENCE_MS, workers);
  const cost = await meter.read(collected.distinct + recovered.distinct);
  const run = `while ${accepted} failed deliveries are recovered`;
  const finished = { generated, collected: upTo(load.count, collected) };
  const measured = measurementOf({ scenario: 'replay', log: stack.log, run }, 1, finished, cost);
  const lost = lostOf({ generated: failed.generated, collected: upTo(sent, recovered) }, 1);
  const { distinct, firstReceivedAtMs, lastReceivedAtMs } = recovered;
  const delivered = measured.delivered + distinct;
  const lastAtMs = Math.max(lastReceivedAtMs, collected.lastReceivedAtMs);
  return {
    ...measured,
    delivered,
    deliveriesPerSecond: rate(delivered, generated.firstAcceptedAtMs, lastAtMs),
    lost: measured.lost + lost,
    duplicates: measured.duplicates + recovered.duplicates,
    figures: {
      recovered: distinct,
      recovered_per_second: rate(distinct, firstReceivedAtMs, lastReceivedAtMs),
      requested_per_second: requestedPerSecond,
      asked_to_first_recovered_s: round((firstReceivedAtMs - askedAtMs) / 1_000, 1),
      asked_to_last_recovered_s: round((lastReceivedAtMs - askedAtMs) / 1_000, 1),
    },
  };
}

function liveLoad(count: number): Load {
  return { count, pace: { perSecond: LIVE_PER_SECOND } };
}

/** Answers its id. */
async function recover({ endpoint, since }: FailedForGood, { stack }: Bench): Promise<string> {
  const body = { since, rate_per_second: ASKED_PER_SECOND };
  const { id } = await stack.tenant.rest.ask<Replay>('POST', `/v1/endpoints/${endpoint}/recover`, { body });
  return id;
}

/** Every attempt is requested, made, and in the history. Answers how many were requested a second. */
async function whenMade(id: string, { stack }: Bench): Promise<number> {
  const look = async (): Promise<Replay | null> => {
    const replay = await stack.tenant.rest.ask<Replay>('GET', `/v1/replays/${id}`);
    const { finished_at, requested, succeeded, failed } = replay;
    return finished_at !== null && succeeded + failed === requested ? replay : null;
  };
  const what = 'every attempt of the replay made';
  const made = await waitFor(look, { what, everyMs: LOOK_EVERY_MS, deadlineMs: MADE_LIMIT_MS });
  return rate(made.requested, Date.parse(made.created_at), Date.parse(made.finished_at ?? ''));
}

/** Without what was not sent. */
function upTo(count: number, collected: CollectedReport): CollectedReport {
  return { ...collected, missing: collected.missing.filter((seq) => seq < count) };
}

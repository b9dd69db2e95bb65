import { existsSync, readFileSync } from 'node:fs';
import { EndpointInput, type RetryPolicy } from '@posthaste/contracts';
import { type OutageMinute, OutageSimulation } from '@posthaste/delivery';
import type { Command } from '../command.js';
import { Failure } from '../failure.js';
import type { Block, Cell } from '../output.js';
import { durationMs, durationText, ratePerSecond } from '../quantities.js';

const MINUTE = 60_000;
const BEFORE_MS = 2 * MINUTE;
const AFTER_MS = 10 * MINUTE;
const MOST_MS = 24 * 60 * MINUTE;
const MOST_PER_SECOND = 1_000;
/** A bit of memory and a microsecond or two for each. */
const MOST_MESSAGES = 20_000_000;
const BUCKETS = 24;
const BAR_WIDTH = 40;

/**
 * The lanes and the pace as the services run them, under a clock of their own: nothing is asked of any server. It says
 * how many attempts an outage costs and how long its backlog takes, with a receiver that answers within 5 ms.
 */
export const simulate: Command = {
  name: 'simulate',
  says: "run the services' lanes through an outage under a virtual clock",
  options: ['outage', 'rate', 'policy'],
  run: async ({ options }, { progress }) => {
    const awayMs = outageOf(options.outage);
    const perSecond = rateOf(options.rate);
    const policy = policyOf(options.policy ?? 'ada');
    const messages = (perSecond * (BEFORE_MS + awayMs + AFTER_MS)) / 1_000;
    if (messages > MOST_MESSAGES) {
      throw new Failure(
        'usage',
        `these are ${Math.round(messages)} messages, and ${MOST_MESSAGES} can be simulated`,
      );
    }
    const run = new OutageSimulation({ perSecond, beforeMs: BEFORE_MS, awayMs, afterMs: AFTER_MS, policy });
    run.run((minute) => progress(`minute ${minute} of ${Math.ceil(run.lastMessageAt / MINUTE)}`));
    const report = reportOf(run);
    return {
      kind: 'data',
      json: { outage_seconds: awayMs / 1_000, per_second: perSecond, ...report },
      blocks: blocksOf(run),
    };
  },
};

function outageOf(text = '2h'): number {
  const ms = durationMs(text);
  if (ms !== null && ms >= 1_000 && ms <= MOST_MS) return ms;
  throw new Failure('usage', `--outage ${text} is no time from 1s to 24h`, {
    hint: 'such as 90s, 30m or 2h',
  });
}

function rateOf(text = '200/s'): number {
  const perSecond = ratePerSecond(text);
  if (perSecond !== null && perSecond > 0 && perSecond <= MOST_PER_SECOND) return perSecond;
  throw new Failure('usage', `--rate ${text} is no rate up to ${MOST_PER_SECOND}/s`, {
    hint: 'such as 200/s or 600/min',
  });
}

/** As an endpoint has it: `{"schedule_seconds": [5, 60, 600]}`, or the name of a preset. */
function policyOf(asked: string): RetryPolicy {
  const json: unknown = existsSync(asked) ? parsed(asked) : { preset: asked };
  const { success, data, error } = EndpointInput.shape.retry_policy.safeParse(json);
  if (!success) {
    const [issue] = error.issues;
    const place = issue?.path.join('/') ?? '';
    throw new Failure('usage', `--policy ${asked} is neither a preset nor the file of a retry policy`, {
      errors: [{ pointer: `/${place}`, message: issue?.message ?? '' }],
      hint: '{"schedule_seconds": [5, 60, 600]}, or ada, standard-webhooks, middesk, none',
    });
  }
  const { retry_statuses: retryStatuses, jitter } = data;
  const rules = {
    ...(retryStatuses === undefined ? {} : { retryStatuses }),
    ...(jitter === undefined ? {} : { jitter }),
  };
  return 'preset' in data
    ? { preset: data.preset, ...rules }
    : { scheduleSeconds: data.schedule_seconds, ...rules };
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    throw new Failure('usage', `${file} is not a file of JSON`);
  }
}

function reportOf(run: OutageSimulation) {
  return {
    messages: run.messages,
    delivered: run.deliveredCount,
    delivered_twice: run.twice,
    exhausted: run.exhausted,
    most_parked: run.mostParked,
    most_in_flight: run.mostInFlight,
    attempts_while_away: run.attemptsWhileAway,
    drained_after_seconds: (run.drainedAt - run.outage.to) / 1_000,
    settled_after_seconds: (run.now - run.outage.to) / 1_000,
    healthy_longest_wait_ms: run.healthy.longestWaitMs,
    attempts_by_number: run.attemptsByNumber,
    attempts_by_minute: Array.from(run.minutes, (minute = nothing) => minute),
  };
}

const nothing: OutageMinute = { attempts: 0, failures: 0, parked: 0 };

function blocksOf(run: OutageSimulation): Block[] {
  const report = reportOf(run);
  const fields: [string, Cell][] = [
    ['messages', report.messages],
    ['delivered', `${report.delivered}, ${report.delivered_twice} of them twice`],
    ['exhausted', report.exhausted],
    ['attempts while away', report.attempts_while_away],
    ['most parked', report.most_parked],
    ['most in flight', report.most_in_flight],
    ['backlog drained', `${durationText(report.drained_after_seconds * 1_000)} after the return`],
    ['all settled', `${durationText(report.settled_after_seconds * 1_000)} after the return`],
    ['other endpoints waited', `${report.healthy_longest_wait_ms} ms at most`],
  ];
  const byNumber = run.attemptsByNumber.map((count, i): Cell[] => [i + 1, count]);
  return [{ fields }, { titles: ['attempt', 'made'], rows: byNumber }, timelineOf(run)];
}

/** Attempts over time until the backlog is gone; what comes later are a few retries, hours apart. */
function timelineOf(run: OutageSimulation): Block {
  const last = Math.ceil(Math.max(run.drainedAt, run.lastMessageAt) / MINUTE);
  const each = Math.max(1, Math.ceil(last / BUCKETS));
  const buckets = Array.from({ length: Math.ceil(last / each) }, (_, i) => {
    const minutes = Array.from({ length: each }, (_, k) => run.minutes[i * each + k] ?? nothing);
    return {
      from: i * each,
      attempts: minutes.reduce((sum, { attempts }) => sum + attempts, 0),
      failures: minutes.reduce((sum, { failures }) => sum + failures, 0),
      parked: minutes.at(-1)?.parked ?? 0,
    };
  });
  const most = Math.max(1, ...buckets.map(({ attempts }) => attempts));
  const rows = buckets.map(({ from, attempts, failures, parked }): Cell[] => [
    from,
    attempts,
    failures,
    parked,
    '#'.repeat(Math.ceil((attempts / most) * BAR_WIDTH)),
  ]);
  return { titles: ['from minute', 'attempts', 'failed', 'parked at end', ''], rows };
}

import { describe, expect, it } from '@jest/globals';
import { laneRules } from './lane.js';
import { OutageSimulation } from './outage-simulation.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HEALTHY_EVERY_MS = 10;

describe('a lane whose endpoint is away for two hours at 200 messages a second', () => {
  const run = new OutageSimulation({
    perSecond: 200,
    beforeMs: 2 * MINUTE,
    awayMs: 120 * MINUTE,
    afterMs: 10 * MINUTE,
    policy: { preset: 'ada' },
  });
  run.run();
  const { outage, lastMessageAt } = run;

  it('delivers every message once, at the pace of the lane, soon after the endpoint is back', () => {
    expect([run.deliveredCount, run.twice, run.exhausted]).toEqual([run.messages, 0, 0]);
    expect(run.mostInFlight).toBeLessThanOrEqual(laneRules.maxInFlight);
    const drainedAfterMs = run.drainedAt - outage.to;
    console.info(`drained ${Math.round(drainedAfterMs / SECOND)} s after the return`);
    expect(drainedAfterMs).toBeLessThan(lastMessageAt - outage.to);
  });

  it('probes it meanwhile, and no more', () => {
    console.info(`${run.attemptsWhileAway} attempts while it was away`);
    expect(run.attemptsWhileAway).toBeLessThan(2 * ((outage.to - outage.from) / laneRules.breaker.openMs));
  });

  it('makes no healthy lane wait', () => {
    expect(run.healthy).toEqual({ sent: lastMessageAt / HEALTHY_EVERY_MS, longestWaitMs: 0 });
  });

  it('retries at the time the policy names or later, never earlier', () => {
    const bounds = [0, 1, 60, 600, 3_600, Infinity].map((seconds) => seconds * SECOND);
    const histogram = bounds.slice(1).map((bound, i) => {
      const from = bounds[i] ?? 0;
      return [`< ${bound / SECOND} s`, run.retriedLateMs.filter((ms) => ms >= from && ms < bound).length];
    });
    console.info('retries by how long after their time', Object.fromEntries(histogram));
    expect(run.retriedLateMs.filter((ms) => ms < 0)).toEqual([]);
    expect(run.retriedLateMs.length).toBe(run.attemptsWhileAway);
  });
});

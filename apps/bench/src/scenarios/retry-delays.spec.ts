import { describe, expect, it } from '@jest/globals';
import type { SeenAttempt } from '@posthaste/test-kit';
import { retryDelays } from './retry-delays.js';

const START_MS = Date.parse('2026-11-21T10:00:00.000Z');

function attempt(number: number, startedMs: number, nextMs: number | null): SeenAttempt {
  return {
    id: `att_${number}`,
    number,
    trigger: 'first',
    started_at: new Date(START_MS + startedMs).toISOString(),
    duration_ms: 100,
    outcome: 'failed',
    error: null,
    request: { url: '', headers: {} },
    response: null,
    requested: null,
    shadow: null,
    next_attempt_at: nextMs === null ? null : new Date(START_MS + nextMs).toISOString(),
  };
}

describe('delays of retries', () => {
  it('are those between an attempt and what it planned, and how late that was made', () => {
    const rows = retryDelays(
      [
        [attempt(1, 0, 5_100), attempt(2, 5_300, 35_400), attempt(3, 62_000, null)],
        [attempt(1, 1_000, 6_100), attempt(2, 9_000, null)],
        [attempt(1, 0, null)],
      ],
      [5, 30],
    );
    expect(rows).toMatchObject([
      {
        retry: 1,
        scheduledSeconds: 5,
        count: 2,
        plannedSeconds: { least: 5, most: 5 },
        lateness: { 'up to 1 s': 1, 'up to 5 s': 1 },
      },
      {
        retry: 2,
        scheduledSeconds: 30,
        count: 1,
        plannedSeconds: { least: 30, most: 30 },
        lateness: { 'up to 1 s': 0, 'up to 35 s': 1, later: 0 },
      },
    ]);
  });
});

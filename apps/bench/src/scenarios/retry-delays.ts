import type { SeenAttempt } from '@posthaste/test-kit';
import type { BenchStack } from '../product/bench-stack.js';
import { round } from '../traffic/quantiles.js';

/** How the retries of one step of the schedule were planned, and how much later they were made. */
export interface RetryDelays {
  /** 1 is the attempt after the first. */
  retry: number;
  scheduledSeconds: number;
  count: number;
  /** From the end of the attempt before until the moment it was planned for. */
  plannedSeconds: { least: number; most: number };
  /** How many were made so late after that moment: a breaker that is open puts them off. */
  lateness: Record<(typeof LATENESS)[number]['name'], number>;
}

const LATENESS = [
  { name: 'up to 1 s', untilMs: 1_000 },
  { name: 'up to 5 s', untilMs: 5_000 },
  { name: 'up to 35 s', untilMs: 35_000 },
  { name: 'up to 90 s', untilMs: 90_000 },
  { name: 'later', untilMs: Infinity },
] as const;

/** The lists of attempts of several deliveries, each in order. */
export function retryDelays(deliveries: SeenAttempt[][], scheduleSeconds: number[]): RetryDelays[] {
  const rows = new Map<number, RetryDelays>();
  for (const attempts of deliveries) {
    attempts.slice(1).forEach((attempt, i) => {
      const before = attempts[i];
      if (before?.next_attempt_at == null) return;
      const plannedAtMs = Date.parse(before.next_attempt_at);
      const plannedMs = plannedAtMs - (Date.parse(before.started_at) + before.duration_ms);
      const row = rows.get(i + 1) ?? emptyRow(i + 1, scheduleSeconds[i] ?? NaN);
      rows.set(i + 1, row);
      add(row, plannedMs, Date.parse(attempt.started_at) - plannedAtMs);
    });
  }
  return [...rows.values()].sort((a, b) => a.retry - b.retry);
}

const SAMPLE = 300;

/** Of an account's deliveries that were attempted more than once, as many as the sample takes, from all of the run. */
export async function sampleRetries({ tenant }: BenchStack, account: string): Promise<SeenAttempt[][]> {
  const retried = (await tenant.deliveries(account)).filter(({ attempts }) => attempts > 1);
  const step = Math.max(1, retried.length / SAMPLE);
  const sample: SeenAttempt[][] = [];
  for (let at = 0; at < retried.length; at += step) {
    sample.push(await tenant.attempts(retried[Math.floor(at)]?.id ?? ''));
  }
  return sample;
}

function emptyRow(retry: number, scheduledSeconds: number): RetryDelays {
  const lateness = Object.fromEntries(LATENESS.map(({ name }) => [name, 0])) as RetryDelays['lateness'];
  return { retry, scheduledSeconds, count: 0, plannedSeconds: { least: Infinity, most: 0 }, lateness };
}

function add(row: RetryDelays, plannedMs: number, lateMs: number): void {
  const seconds = round(plannedMs / 1_000);
  row.count++;
  row.plannedSeconds.least = Math.min(row.plannedSeconds.least, seconds);
  row.plannedSeconds.most = Math.max(row.plannedSeconds.most, seconds);
  row.lateness[LATENESS.find(({ untilMs }) => lateMs <= untilMs)?.name ?? 'later']++;
}

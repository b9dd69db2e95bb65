import { partitionKey } from './partition-key.js';
import type { Position } from './port.js';

/**
 * Notices a consumer that has partitions, has records ahead, and reads none: the failure nobody else reports, because
 * the process lives and its heartbeats go on. A log that cannot be reached is not a stall; it comes back by itself.
 *
 * Counted in checks rather than in time, so that a process frozen for an hour is not judged on waking.
 */
export interface StallWatchdogOptions {
  stallTimeoutMs: number;
  /** Where reading stands, without partitions that are paused on purpose. */
  positions(): Position[];
  ends(): Promise<Position[]>;
  onStall(error: Error): void;
}

const CHECKS = 4;

export function watchForStalls(options: StallWatchdogOptions): { stop(): void } {
  let stuck = new Map<string, { offset: number; checks: number }>();
  let checking = false;

  const check = async (): Promise<void> => {
    const ends = new Map((await options.ends()).map((end) => [partitionKey(end), end.offset]));
    const still = new Map<string, { offset: number; checks: number }>();
    for (const position of options.positions()) {
      const key = partitionKey(position);
      if ((ends.get(key) ?? 0) <= position.offset) continue;
      const before = stuck.get(key);
      const checks = before?.offset === position.offset ? before.checks + 1 : 0;
      still.set(key, { offset: position.offset, checks });
      if (checks >= CHECKS) {
        clearInterval(timer);
        const held = `${position.topic}/${position.partition} stands at ${position.offset} of ${ends.get(key)}`;
        options.onStall(new Error(`fetching stalled for ${options.stallTimeoutMs} ms: ${held}`));
        return;
      }
    }
    stuck = still;
  };

  const timer = setInterval(() => {
    if (checking) return;
    checking = true;
    check()
      .catch(() => {
        stuck = new Map();
      })
      .finally(() => {
        checking = false;
      });
  }, options.stallTimeoutMs / CHECKS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

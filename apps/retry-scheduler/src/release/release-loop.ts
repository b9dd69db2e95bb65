import { Alarm } from './alarm.js';
import { releaseBatch, type ReleaseOutcome, type ReleaseParts } from './release-batch.js';
import { msUntilNextDue } from './sql/next-due.js';

/**
 * The timer: releases what is due, in every replica at once and without a leader.
 *
 * States: closed (the index still catches up with the log) -> releasing -> asleep until the next due time -> ...;
 * after a failure it backs off. It sleeps at most a second: another replica may have brought an earlier attempt, or
 * have died holding one. A batch of the projection that brings an earlier attempt wakes it.
 */
export interface ReleaseLoopOptions extends ReleaseParts {
  /** Releasing begins when this resolves: an index behind the log holds attempts that were made long ago. */
  opened: Promise<void>;
  onReleased: (outcome: ReleaseOutcome) => void;
  /** Rolled back; tried again after `backoffMs`. */
  onFailure: (error: unknown, backoffMs: number) => void;
}

const SAFETY_POLL_MS = 1_000;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5_000;

export class ReleaseLoop {
  private readonly alarm = new Alarm();
  private stopped = false;
  private running: Promise<void> | null = null;

  constructor(private readonly options: ReleaseLoopOptions) {}

  start(): void {
    this.running = this.options.opened.then(() => this.run());
  }

  /** An attempt falls due at this wall-clock time; were our clock ahead of the database's, one look is wasted. */
  noticeDue(dueAtMs: number): void {
    this.alarm.bringForward(performance.now() + Math.max(0, dueAtMs - Date.now()));
  }

  /** Finishes the batch in hand. `opened` must have resolved, or resolve. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.alarm.bringForward(0);
    await this.running;
  }

  private async run(): Promise<void> {
    let backoffMs = BACKOFF_MIN_MS;
    while (!this.stopped) {
      let sleepMs: number;
      try {
        sleepMs = await this.releaseAllDue();
        backoffMs = BACKOFF_MIN_MS;
      } catch (error) {
        this.options.onFailure(error, backoffMs);
        // Not the alarm: a new attempt would end the pause that the failure asks for.
        await new Promise((resolve) => setTimeout(resolve, backoffMs));
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
        continue;
      }
      if (!this.stopped) await this.alarm.sleep(sleepMs);
    }
  }

  /** Answers how long nothing will be due. */
  private async releaseAllDue(): Promise<number> {
    let more = true;
    while (more && !this.stopped) {
      const outcome = await releaseBatch(this.options);
      this.options.onReleased(outcome);
      more = outcome.more;
    }
    const nextMs = await msUntilNextDue(this.options.pool);
    return Math.min(nextMs ?? SAFETY_POLL_MS, SAFETY_POLL_MS);
  }
}

import type { Pace } from './protocol.js';
import { nowMs } from './stamped-payload.js';

/** Timers are a millisecond coarse. So much early or late is still on time: turning the loop would cost what is measured. */
const TIMER_MS = 1;

/**
 * Sends a number of requests at a pace. In the open loop the time of a request that is sent late runs from when it
 * should have been sent: a stall of the system, or of this process, then counts against every request it delayed (no
 * coordinated omission). Whoever sends calls `answered` once for each request that has its answer.
 */
export class PacedLoop {
  private next = 0;
  private answers = 0;
  private done: () => void = () => undefined;

  constructor(
    private readonly count: number,
    private readonly pace: Pace,
    private readonly send: (seq: number, sentAtMs: number) => void,
  ) {}

  /** Resolves when all are answered. */
  async run(): Promise<void> {
    const { pace } = this;
    await new Promise<void>((resolve) => {
      this.done = resolve;
      if ('inFlight' in pace) for (let i = 0; i < pace.inFlight; i++) this.sendNext();
      else this.open(nowMs() + 5, pace.perSecond);
    });
  }

  answered(): void {
    if (++this.answers === this.count) this.done();
    else if ('inFlight' in this.pace) this.sendNext();
  }

  private sendNext(): void {
    if (this.next < this.count) this.send(this.next++, nowMs());
  }

  private open(startMs: number, perSecond: number): void {
    for (; this.next < this.count; this.next++) {
      const dueMs = startMs + (this.next * 1000) / perSecond;
      const lateMs = nowMs() - dueMs;
      if (lateMs < -TIMER_MS) {
        setTimeout(() => this.open(startMs, perSecond), -lateMs);
        return;
      }
      this.send(this.next, lateMs > TIMER_MS ? dueMs : nowMs());
    }
  }
}

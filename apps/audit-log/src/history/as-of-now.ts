import { endsOf, type EventLog, type ProjectionPositions } from '@posthaste/event-log';
import { historyTopics } from './history.projection.js';

/** History is a fifth of a second behind; who waits this long, twice at worst, asks one that is catching up. */
const PATIENCE_MS = 2_000;
const POLL_MS = 25;

/**
 * Waits until history has all the log held at the moment of asking. So who was told of a message or an attempt by
 * others, who read the log themselves, finds it here too.
 *
 * One look at the log at a time: who comes during one shares the next, because that one is about an earlier moment.
 */
export class AsOfNow {
  private running: Promise<boolean> = Promise.resolve(true);
  private next: Promise<boolean> | null = null;

  constructor(
    private readonly log: EventLog,
    private readonly positions: Pick<ProjectionPositions, 'whenReached'>,
    private readonly stopping: AbortSignal,
  ) {}

  /** False: history is further behind than anyone waits for, or the log cannot be asked where it ends. */
  reached(): Promise<boolean> {
    this.next ??= this.running.then(() => {
      this.next = null;
      this.running = this.catchUp().catch(() => false);
      return this.running;
    });
    return this.next;
  }

  private async catchUp(): Promise<boolean> {
    const ends = await endsOf(this.log, historyTopics);
    const signal = AbortSignal.any([this.stopping, AbortSignal.timeout(PATIENCE_MS)]);
    await this.positions.whenReached(ends, signal, POLL_MS);
    return !signal.aborted;
  }
}

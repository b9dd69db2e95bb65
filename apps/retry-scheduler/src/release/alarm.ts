/**
 * Sleeps until a time that may still be brought forward. One sleeper.
 *
 * A time brought forward while nobody sleeps counts for the next sleep: it may have come between the sleeper's look
 * at the index and its going to sleep.
 */
export class Alarm {
  private earliest = Infinity;
  private reschedule: (() => void) | null = null;

  /** @param atMs on the monotonic clock (`performance.now()`). */
  bringForward(atMs: number): void {
    if (atMs >= this.earliest) return;
    this.earliest = atMs;
    this.reschedule?.();
  }

  /** Resolves after `ms`, or at an earlier time that was brought forward. */
  async sleep(ms: number): Promise<void> {
    this.bringForward(performance.now() + ms);
    await new Promise<void>((resolve) => {
      let timer: NodeJS.Timeout;
      this.reschedule = () => {
        clearTimeout(timer);
        timer = setTimeout(resolve, Math.max(0, Math.ceil(this.earliest - performance.now())));
      };
      this.reschedule();
    });
    this.reschedule = null;
    this.earliest = Infinity;
  }
}

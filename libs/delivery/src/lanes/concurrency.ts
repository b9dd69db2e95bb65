/**
 * How many requests an endpoint gets at the same time.
 *
 *   steady   +1 for every 20 successes, up to the most
 *   cut      halved by a timeout or a 429, at most once for what was in flight together
 *   starting after a recovery: from 1, doubled with every round of successes, until half of the most; then steady
 *
 * A receiver that comes back is met by everything that waited for it: it gets one request, then two, then four.
 */
const SUCCESSES_PER_STEP = 20;

export class AdaptiveLimit {
  private limit: number;
  private successes = 0;
  private isStarting = false;
  private cutAt = -Infinity;

  constructor(private most: number) {
    this.limit = most;
  }

  get current(): number {
    return this.limit;
  }

  get isWhole(): boolean {
    return this.limit === this.most;
  }

  succeeded(): void {
    if (this.isWhole) return;
    this.successes++;
    if (this.successes < (this.isStarting ? 1 : SUCCESSES_PER_STEP)) return;
    this.successes = 0;
    this.limit++;
    if (this.limit >= this.most / 2) this.isStarting = false;
  }

  /** A timeout or a 429 of a request that began at `startedAt`. */
  overloaded(startedAt: number, now: number): void {
    this.isStarting = false;
    this.successes = 0;
    // It was in flight already when the last cut was made: that one answered it too.
    if (startedAt < this.cutAt) return;
    this.limit = Math.max(1, Math.floor(this.limit / 2));
    this.cutAt = now;
  }

  recovered(): void {
    this.limit = 1;
    this.successes = 0;
    this.isStarting = this.most > 1;
  }
}

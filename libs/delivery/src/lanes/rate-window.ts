import type { RateLimit } from '@posthaste/contracts';

/**
 * At most `count` requests in any period, exactly: it remembers when the last `count` began. A bucket of tokens would
 * let twice as many through around the turn of a period.
 */
export class RateWindow {
  private readonly periodMs: number;
  /** When the last requests began, oldest first, from `head`. */
  private begun: number[] = [];
  private head = 0;

  constructor(private readonly limit: RateLimit) {
    this.periodMs = limit.periodSeconds * 1_000;
  }

  /** How long until `ahead` more requests have begun and one more may; 0: now. */
  waitMs(ahead: number, now: number): number {
    const { count } = this.limit;
    const inWindow = this.inWindow(now);
    if (inWindow + ahead < count) return 0;
    const overflow = inWindow + ahead - count;
    const rounds = Math.floor(overflow / count);
    // The request whose place it takes: one already begun, or one of those ahead, which take places in the same way.
    const freed = this.begun[this.head + (overflow % count)] ?? now;
    return Math.max(0, freed + this.periodMs - now) + rounds * this.periodMs;
  }

  begin(now: number): void {
    this.begun.push(now);
  }

  isEmpty(now: number): boolean {
    return this.inWindow(now) === 0;
  }

  private inWindow(now: number): number {
    while (this.head < this.begun.length && now - (this.begun[this.head] ?? now) >= this.periodMs)
      this.head++;
    if (this.head > 1_000 || this.head === this.begun.length) {
      this.begun = this.begun.slice(this.head);
      this.head = 0;
    }
    return this.begun.length - this.head;
  }
}

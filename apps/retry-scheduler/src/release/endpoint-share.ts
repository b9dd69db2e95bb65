/**
 * How many attempts of one endpoint are released in a second, by this process: half again as many as it completed in
 * the second before, so that a backlog comes back as fast as its receiver takes it. What is released beyond that finds
 * its lane full, is deferred, and comes back here: work for everyone, and no delivery more.
 *
 * An endpoint that completed nothing gets a few all the same, or nothing would ever tell that it has recovered; from
 * there a healthy one doubles its share within two seconds. No endpoint gets more than the dispatchers' memory allows.
 */
export interface ShareLimits {
  least: number;
  most: number;
}

const LIMITS: ShareLimits = { least: 20, most: 2_000 };
const GROWTH = 1.5;
const WINDOW_MS = 1_000;

export class EndpointShare {
  private windowStart = -Infinity;
  private released = new Map<string, number>();
  private completed = new Map<string, number>();
  private completedBefore = new Map<string, number>();

  constructor(private readonly limits: ShareLimits = LIMITS) {}

  /** An attempt of the endpoint was made, with whatever outcome, or cancelled. Times are of the monotonic clock. */
  complete(endpoint: string, nowMs: number): void {
    this.roll(nowMs);
    this.completed.set(endpoint, (this.completed.get(endpoint) ?? 0) + 1);
  }

  /** True if one more may be released now; counts it. */
  take(endpoint: string, nowMs: number): boolean {
    this.roll(nowMs);
    const released = this.released.get(endpoint) ?? 0;
    if (released >= this.allowance(endpoint)) return false;
    this.released.set(endpoint, released + 1);
    return true;
  }

  /** Endpoints that must wait for the next window. */
  exhausted(nowMs: number): string[] {
    this.roll(nowMs);
    return [...this.released]
      .filter(([endpoint, released]) => released >= this.allowance(endpoint))
      .map(([endpoint]) => endpoint);
  }

  private allowance(endpoint: string): number {
    const earned = Math.ceil((this.completedBefore.get(endpoint) ?? 0) * GROWTH);
    return Math.min(Math.max(earned, this.limits.least), this.limits.most);
  }

  private roll(nowMs: number): void {
    const passedMs = nowMs - this.windowStart;
    if (passedMs < WINDOW_MS) return;
    this.completedBefore = passedMs < 2 * WINDOW_MS ? this.completed : new Map<string, number>();
    this.completed = new Map();
    this.released = new Map();
    this.windowStart = nowMs;
  }
}

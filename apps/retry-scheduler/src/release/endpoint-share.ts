/** One endpoint gets at most this many releases in a second, so that its backlog does not flood the dispatchers. */
const PER_SECOND = 2_000;
const WINDOW_MS = 1_000;

/** Counts releases by endpoint in windows of one second, for this process. */
export class EndpointShare {
  private windowStart = 0;
  private readonly used = new Map<string, number>();

  constructor(private readonly perSecond: number = PER_SECOND) {}

  /** True if one more may be released now; counts it. */
  take(endpoint: string, nowMs: number): boolean {
    this.roll(nowMs);
    const used = this.used.get(endpoint) ?? 0;
    if (used >= this.perSecond) return false;
    this.used.set(endpoint, used + 1);
    return true;
  }

  /** Endpoints that must wait for the next window. */
  exhausted(nowMs: number): string[] {
    this.roll(nowMs);
    return [...this.used].filter(([, used]) => used >= this.perSecond).map(([endpoint]) => endpoint);
  }

  private roll(nowMs: number): void {
    if (nowMs - this.windowStart < WINDOW_MS) return;
    this.windowStart = nowMs;
    this.used.clear();
  }
}

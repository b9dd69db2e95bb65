/**
 * Whether an endpoint is worth calling at all.
 *
 *   closed --(10 failures in a row, or more than half of at least 20 results of 30 s)--> open
 *   open --(30 s later, with the next request that asks)--> probing
 *   probing --(the probe succeeded)--> closed
 *   probing --(it failed)--> open
 *
 * What was in flight when it opened still ends, and changes nothing, unless it succeeded: an endpoint that answers is
 * closed at once. `now` is an argument; no timer.
 */
export interface BreakerRules {
  failuresInRow: number;
  /** So many results are enough to judge by their share. */
  leastResults: number;
  windowMs: number;
  openMs: number;
}

export const breakerRules: BreakerRules = {
  failuresInRow: 10,
  leastResults: 20,
  windowMs: 30_000,
  openMs: 30_000,
};

type State = { kind: 'closed' } | { kind: 'open'; probeAt: number } | { kind: 'probing'; since: number };

/** The window is counted in so many parts, each forgotten as a whole. */
const PARTS = 6;

export class Breaker {
  private state: State = { kind: 'closed' };
  private inRow = 0;
  /** Results by part of the window, the newest last. */
  private parts: { from: number; results: number; failures: number }[] = [];

  constructor(private readonly rules: BreakerRules = breakerRules) {}

  get isClosed(): boolean {
    return this.state.kind === 'closed';
  }

  /** Closed, with no failure it still remembers. */
  isSpotless(now: number): boolean {
    if (this.state.kind !== 'closed' || this.inRow > 0) return false;
    return this.recent(now).every(({ failures }) => failures === 0);
  }

  /** Null when a request may be made; else when to ask again. */
  refusesUntil(now: number): number | null {
    switch (this.state.kind) {
      case 'closed':
        return null;
      case 'open':
        return now >= this.state.probeAt ? null : this.state.probeAt;
      case 'probing': {
        // No request takes that long: this one was lost.
        const lostAt = this.state.since + this.rules.openMs;
        return now >= lostAt ? null : lostAt;
      }
    }
  }

  /** A request that was not refused begins. */
  begin(now: number): void {
    if (this.state.kind !== 'closed') this.state = { kind: 'probing', since: now };
  }

  /** The request that began last was not made after all: another one may probe. */
  withdraw(now: number): void {
    if (this.state.kind === 'probing') this.state = { kind: 'open', probeAt: now };
  }

  /** Answers what it did to the breaker. */
  record(succeeded: boolean, now: number): 'opened' | 'closed' | 'unchanged' {
    if (succeeded) return this.succeeded(now);
    this.inRow++;
    this.count(1, now);
    if (this.state.kind === 'open') return 'unchanged';
    if (this.state.kind === 'closed' && !this.isTooMuch(now)) return 'unchanged';
    this.state = { kind: 'open', probeAt: now + this.rules.openMs };
    return 'opened';
  }

  private succeeded(now: number): 'closed' | 'unchanged' {
    this.inRow = 0;
    if (this.state.kind !== 'closed') {
      this.state = { kind: 'closed' };
      this.parts = [];
      return 'closed';
    }
    this.count(0, now);
    return 'unchanged';
  }

  private isTooMuch(now: number): boolean {
    if (this.inRow >= this.rules.failuresInRow) return true;
    let results = 0;
    let failures = 0;
    for (const part of this.recent(now)) {
      results += part.results;
      failures += part.failures;
    }
    return results >= this.rules.leastResults && failures > results / 2;
  }

  private count(failures: 0 | 1, now: number): void {
    const last = this.parts.at(-1);
    if (last !== undefined && now - last.from < this.rules.windowMs / PARTS) {
      last.results++;
      last.failures += failures;
      return;
    }
    this.parts = this.recent(now);
    this.parts.push({ from: now, results: 1, failures });
  }

  private recent(now: number): typeof this.parts {
    return this.parts.filter(({ from }) => now - from < this.rules.windowMs);
  }
}

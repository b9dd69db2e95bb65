import type { DeliveryEvent } from '@posthaste/contracts';
import { laneAnswer, LanePace } from '@posthaste/delivery';

/**
 * What this process knows of lanes: which have parked deliveries, and how fast each is handed what it is owed.
 *
 * The rows are in the due index; here is only what finds and paces them, and all of it may be lost: a process that
 * starts finds the parked lanes in the index and learns the paces anew. Every process releases every lane. One that
 * does not see a lane's answers has its window halved for each minute without, so it adds next to nothing.
 */
export interface LaneClaim {
  endpoint: string;
  limit: number;
}

export interface ParkingLotOptions {
  /** A lane with parked deliveries may be handed some now. */
  onRoom?: () => void;
  /** A delivery we released was turned away. */
  onBounce?: () => void;
  /** Monotonic milliseconds. */
  now?: () => number;
}

export class ParkingLot {
  private readonly paces = new Map<string, LanePace>();
  /** Lanes that have parked deliveries, as far as is known; the one that waits longest for its turn first. */
  private readonly parked = new Set<string>();
  private readonly now: () => number;

  constructor(private readonly options: ParkingLotOptions = {}) {
    this.now = options.now ?? (() => performance.now());
  }

  /** How many lanes have parked deliveries. */
  get lanes(): number {
    return this.parked.size;
  }

  /** Takes in what became of a delivery, whoever released it. Harmless when told twice. */
  notice(event: DeliveryEvent): void {
    const { endpoint, delivery } = event;
    const answer = laneAnswer(event);
    if (answer === null) return;
    const nowMs = this.now();
    // Most events are about first attempts of lanes that owe nothing.
    const pace = this.paces.get(endpoint);
    switch (answer.kind) {
      case 'succeeded':
        pace?.succeeded(delivery);
        break;
      case 'failed':
        pace?.failed(delivery);
        break;
      case 'returned':
        pace?.returned(delivery);
        break;
      case 'bounced': {
        const untilMs = nowMs + answer.until - Date.now();
        const isOurs = (pace ?? this.paceOf(endpoint)).bounced(delivery, answer.reason, untilMs, nowMs);
        if (isOurs) this.options.onBounce?.();
      }
    }
    this.wakeFor(endpoint, nowMs);
  }

  /** Deliveries of these lanes are parked, and committed. */
  park(endpoints: Iterable<string>): void {
    const nowMs = this.now();
    for (const endpoint of endpoints) {
      this.parked.add(endpoint);
      this.wakeFor(endpoint, nowMs);
    }
  }

  /** The endpoints are gone: what is parked will be cancelled, as fast as dispatchers can. */
  lift(endpoints: Iterable<string>): void {
    const nowMs = this.now();
    for (const endpoint of endpoints) {
      this.paces.get(endpoint)?.lift();
      this.wakeFor(endpoint, nowMs);
    }
  }

  /** True when a delivery that is due may go at once, and counts it; false when it must be parked. */
  admit(endpoint: string, delivery: string): boolean {
    const nowMs = this.now();
    if (this.parked.has(endpoint) || this.paceOf(endpoint).room(nowMs) === 0) return false;
    this.paceOf(endpoint).release(delivery, nowMs);
    return true;
  }

  /**
   * What may be claimed of which lanes now, `limit` at most: a like part for each, taken in turn. The lanes are no
   * longer known as parked, until `claimed` says that there may be more, or `park` that there is.
   */
  takeTurn(limit: number): LaneClaim[] {
    const nowMs = this.now();
    const rooms: LaneClaim[] = [];
    for (const endpoint of this.parked) {
      const room = this.paceOf(endpoint).room(nowMs);
      if (room > 0) rooms.push({ endpoint, limit: room });
      if (rooms.length === limit) break;
    }
    const part = Math.floor(limit / Math.max(1, rooms.length));
    const claims = rooms.map(({ endpoint, limit: room }) => ({ endpoint, limit: Math.min(room, part) }));
    for (const { endpoint } of claims) this.parked.delete(endpoint);
    return claims;
  }

  /** What was found for these claims: counts it as released. A lane that gave less than was asked for has no more. */
  claimed(claims: LaneClaim[], rows: { endpoint: string; delivery: string }[]): void {
    const nowMs = this.now();
    const found = new Map<string, number>();
    for (const { endpoint, delivery } of rows) {
      found.set(endpoint, (found.get(endpoint) ?? 0) + 1);
      this.paceOf(endpoint).release(delivery, nowMs);
    }
    for (const { endpoint, limit } of claims) {
      if ((found.get(endpoint) ?? 0) >= limit) this.parked.add(endpoint);
    }
  }

  /** These were not released after all. */
  forget(rows: { endpoint: string; delivery: string }[]): void {
    for (const { endpoint, delivery } of rows) this.paces.get(endpoint)?.forget(delivery);
  }

  /** Nor were these, and their lanes wait: history does not know their messages yet. */
  pause(rows: { endpoint: string; delivery: string }[], forMs: number): void {
    const nowMs = this.now();
    this.forget(rows);
    for (const { endpoint } of rows) this.paceOf(endpoint).pause(nowMs + forMs, nowMs);
  }

  /** How long no lane with parked deliveries has room, unless an answer comes; 0: one has now. */
  msUntilRoom(): number {
    const nowMs = this.now();
    let earliest = Infinity;
    for (const endpoint of this.parked) {
      earliest = Math.min(earliest, this.paceOf(endpoint).roomAtMs(nowMs));
      if (earliest <= nowMs) return 0;
    }
    return earliest - nowMs;
  }

  /** Drops the paces of lanes that neither have anything parked nor on its way. */
  prune(): void {
    const nowMs = this.now();
    for (const [endpoint, pace] of this.paces) {
      if (!this.parked.has(endpoint) && pace.isIdle(nowMs)) this.paces.delete(endpoint);
    }
  }

  private paceOf(endpoint: string): LanePace {
    let pace = this.paces.get(endpoint);
    if (!pace) this.paces.set(endpoint, (pace = new LanePace()));
    return pace;
  }

  private wakeFor(endpoint: string, nowMs: number): void {
    if (this.parked.has(endpoint) && this.paceOf(endpoint).room(nowMs) > 0) this.options.onRoom?.();
  }
}

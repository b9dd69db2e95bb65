import type { CollectedPart, CollectedReport, CollectOrder } from './protocol.js';
import { quantilesOf } from './quantiles.js';
import type { Stamp } from './stamped-payload.js';

/** What one receiver has seen of a run: of every message its first arrival and how often it came. */
export class Arrivals {
  private readonly latencyMs: Float64Array;
  private readonly arrivedAtMs: Float64Array;
  private readonly times: Uint16Array;
  private distinct = 0;
  private received = 0;
  private lastReceivedAtMs = 0;
  private onProgress: () => void = () => undefined;

  constructor(capacity: number) {
    this.latencyMs = new Float64Array(capacity);
    this.arrivedAtMs = new Float64Array(capacity);
    this.times = new Uint16Array(capacity);
  }

  take({ seq, sentAtMs }: Stamp, now: number): void {
    this.received++;
    this.lastReceivedAtMs = now;
    const before = this.times[seq];
    if (before === undefined) return;
    this.times[seq] = before + 1;
    if (before === 0) {
      this.latencyMs[seq] = now - sentAtMs;
      this.arrivedAtMs[seq] = now;
      this.distinct++;
    }
    this.onProgress();
  }

  /** Resolves when all that is expected has come, or for long nothing. */
  async whenCollected({ expected, patienceMs }: CollectOrder): Promise<void> {
    await new Promise<void>((resolve) => {
      let seen = this.received;
      const impatience = setInterval(() => {
        if (seen === this.received) finish();
        seen = this.received;
      }, patienceMs);
      const finish = (): void => {
        clearInterval(impatience);
        this.onProgress = () => undefined;
        resolve();
      };
      this.onProgress = () => {
        if (this.distinct >= expected) finish();
      };
      this.onProgress();
    });
  }

  report(partsAt: number[]): CollectedReport {
    const whole = this.part(0, this.times.length);
    const missing: number[] = [];
    this.times.forEach((count, seq) => {
      if (count === 0) missing.push(seq);
    });
    return {
      received: this.received,
      distinct: this.distinct,
      duplicates: this.received - this.distinct,
      missing,
      lastReceivedAtMs: this.lastReceivedAtMs,
      endToEndMs: whole.endToEndMs,
      parts: [0, ...partsAt].map((from, i) => this.part(from, partsAt[i] ?? this.times.length)),
    };
  }

  private part(from: number, until: number): CollectedPart {
    const latencyMs: number[] = [];
    let completeAtMs = 0;
    for (let seq = from; seq < until; seq++) {
      if (this.times[seq] === 0) continue;
      latencyMs.push(this.latencyMs[seq] ?? NaN);
      completeAtMs = Math.max(completeAtMs, this.arrivedAtMs[seq] ?? 0);
    }
    return { completeAtMs, endToEndMs: quantilesOf(Float64Array.from(latencyMs)) };
  }
}

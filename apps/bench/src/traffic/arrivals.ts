import type { CollectedPart, CollectedReport, CollectOrder, Expected } from './protocol.js';
import { quantilesOf } from './quantiles.js';
import type { Stamp } from './stamped-payload.js';

/** What one receiver has seen of a run: of every message at each endpoint its first arrival and how often it came. */
export class Arrivals {
  private readonly latencyMs: Float64Array;
  private readonly arrivedAtMs: Float64Array;
  private readonly times: Uint16Array;
  private distinct = 0;
  private received = 0;
  private firstReceivedAtMs = 0;
  private lastReceivedAtMs = 0;
  private readonly endpoints: number;
  private onProgress: () => void = () => undefined;

  constructor({ messages, endpoints }: Expected) {
    const capacity = messages * endpoints;
    this.endpoints = endpoints;
    this.latencyMs = new Float64Array(capacity);
    this.arrivedAtMs = new Float64Array(capacity);
    this.times = new Uint16Array(capacity);
  }

  take({ seq, sentAtMs }: Stamp, endpoint: number, now: number): void {
    if (this.received++ === 0) this.firstReceivedAtMs = now;
    this.lastReceivedAtMs = now;
    const place = seq * this.endpoints + endpoint;
    const before = this.times[place];
    if (before === undefined) return;
    this.times[place] = before + 1;
    if (before === 0) {
      this.latencyMs[place] = now - sentAtMs;
      this.arrivedAtMs[place] = now;
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
    this.times.forEach((count, place) => {
      if (count === 0) missing.push(place);
    });
    return {
      received: this.received,
      distinct: this.distinct,
      duplicates: this.received - this.distinct,
      missing,
      firstReceivedAtMs: this.firstReceivedAtMs,
      lastReceivedAtMs: this.lastReceivedAtMs,
      endToEndMs: whole.endToEndMs,
      parts: [0, ...partsAt].map((from, i) =>
        this.part(from * this.endpoints, (partsAt[i] ?? Infinity) * this.endpoints),
      ),
    };
  }

  private part(from: number, until: number): CollectedPart {
    const latencyMs: number[] = [];
    let completeAtMs = 0;
    for (let place = from; place < Math.min(until, this.times.length); place++) {
      if (this.times[place] === 0) continue;
      latencyMs.push(this.latencyMs[place] ?? NaN);
      completeAtMs = Math.max(completeAtMs, this.arrivedAtMs[place] ?? 0);
    }
    return { completeAtMs, endToEndMs: quantilesOf(Float64Array.from(latencyMs)) };
  }
}

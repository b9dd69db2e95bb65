import type { Pool } from 'undici';
import { exchange, pathOf, poolFor } from './exchange.js';
import { PacedLoop } from './paced-loop.js';
import type { GeneratedReport, GenerateOrder } from './protocol.js';
import { quantilesOf } from './quantiles.js';
import { nowMs, stampedPayload } from './stamped-payload.js';

export async function publishAll(order: GenerateOrder): Promise<GeneratedReport> {
  return new Publishing(order).run();
}

/** The sender's side of one run. */
class Publishing {
  private readonly pool: Pool;
  private readonly loop: PacedLoop;
  private readonly targets: { path: string; prefix: string; suffix: string }[];
  private readonly acceptMs: Float64Array;
  private readonly refused: number[] = [];
  private readonly answers: Record<string, number> = {};
  private readonly repeatMs: number[] = [];
  private differed = 0;
  private accepted = 0;
  private firstAcceptedAtMs = 0;
  private lastAcceptedAtMs = 0;

  constructor(private readonly order: GenerateOrder) {
    this.pool = poolFor(order.targets[0]?.url, order.pace);
    this.loop = new PacedLoop(order.count, order.pace, (seq, sentAtMs) => this.send(seq, sentAtMs));
    this.targets = order.targets.map((target) => ({ ...target, path: pathOf(target.url) }));
    this.acceptMs = new Float64Array(order.count);
  }

  async run(): Promise<GeneratedReport> {
    await this.loop.run();
    await this.pool.close();
    const repeats = { differed: this.differed, acceptMs: quantilesOf(Float64Array.from(this.repeatMs)) };
    return {
      accepted: this.accepted,
      refused: this.refused,
      answers: this.answers,
      firstAcceptedAtMs: this.firstAcceptedAtMs,
      lastAcceptedAtMs: this.lastAcceptedAtMs,
      acceptMs: quantilesOf(this.acceptMs.subarray(0, this.accepted)),
      repeats: this.order.keyed?.repeat ? repeats : null,
    };
  }

  private send(seq: number, sentAtMs: number): void {
    const { payloadBytes, headers, keyed } = this.order;
    const target = this.targets[seq % this.targets.length];
    if (target === undefined) throw new Error('there is nowhere to publish to');
    const { path, prefix, suffix } = target;
    const request = {
      method: 'POST' as const,
      path,
      headers: keyed ? { ...headers, 'idempotency-key': `${keyed.prefix}-${seq}` } : headers,
      body: prefix + stampedPayload({ seq, sentAtMs }, payloadBytes) + suffix,
    };
    const repeat = keyed?.repeat === true;
    const settle = (status: number, body: string): void => {
      this.settle(seq, sentAtMs, status);
      if (!repeat || !isAccepted(status)) return this.loop.answered();
      const repeatedAtMs = nowMs();
      exchange(
        this.pool,
        request,
        (...again) => this.settleRepeat(repeatedAtMs, [status, body], again),
        true,
      );
    };
    exchange(this.pool, request, settle, repeat);
  }

  private settle(seq: number, sentAtMs: number, status: number): void {
    const answer = status === 0 ? 'error' : String(status);
    this.answers[answer] = (this.answers[answer] ?? 0) + 1;
    if (!isAccepted(status)) {
      this.refused.push(seq);
      return;
    }
    const now = nowMs();
    if (this.accepted === 0) this.firstAcceptedAtMs = now;
    this.lastAcceptedAtMs = now;
    this.acceptMs[this.accepted++] = now - sentAtMs;
  }

  private settleRepeat(
    repeatedAtMs: number,
    [status, body]: [number, string],
    again: [number, string],
  ): void {
    this.repeatMs.push(nowMs() - repeatedAtMs);
    if (again[0] !== status || again[1] !== body) this.differed++;
    this.loop.answered();
  }
}

function isAccepted(status: number): boolean {
  return status >= 200 && status < 300;
}

import { Pool } from 'undici';
import type { GeneratedReport, GenerateOrder } from './protocol.js';
import { quantilesOf } from './quantiles.js';
import { nowMs, stampedPayload } from './stamped-payload.js';
import { serveOrders } from './worker-process.js';

/**
 * The sender's side. Undici's dispatch is its lowest level and leaves most of the core to what is measured. In the
 * open loop the time of a message that is sent late runs from when it should have been sent: a stall of the system, or
 * of this process, then counts against every message it delayed (no coordinated omission).
 */
const CONNECTIONS = 64;
/** Timers are a millisecond coarse. So much early or late is still on time: turning the loop would cost what is measured. */
const TIMER_MS = 1;

class Load {
  private readonly pool: Pool;
  private readonly targets: { path: string; prefix: string; suffix: string }[];
  private readonly acceptMs: Float64Array;
  private readonly refused: number[] = [];
  private readonly answers: Record<string, number> = {};
  private accepted = 0;
  private answered = 0;
  private firstAcceptedAtMs = 0;
  private lastAcceptedAtMs = 0;
  private done: () => void = () => undefined;
  private onAnswer: () => void = () => undefined;

  constructor(private readonly order: GenerateOrder) {
    const urls = order.targets.map(({ url }) => new URL(url));
    const connections = 'inFlight' in order.pace ? order.pace.inFlight : CONNECTIONS;
    this.pool = new Pool(urls[0]?.origin ?? '', { connections, pipelining: 1 });
    this.targets = order.targets.map((target, i) => ({ ...target, path: urls[i]?.pathname ?? '/' }));
    this.acceptMs = new Float64Array(order.count);
  }

  async run(): Promise<GeneratedReport> {
    const { pace } = this.order;
    await new Promise<void>((resolve) => {
      this.done = resolve;
      if ('inFlight' in pace) this.closedLoop(pace.inFlight);
      else this.openLoop(pace.perSecond);
    });
    await this.pool.close();
    return {
      accepted: this.accepted,
      refused: this.refused,
      answers: this.answers,
      firstAcceptedAtMs: this.firstAcceptedAtMs,
      lastAcceptedAtMs: this.lastAcceptedAtMs,
      acceptMs: quantilesOf(this.acceptMs.subarray(0, this.accepted)),
    };
  }

  private closedLoop(inFlight: number): void {
    let next = 0;
    const sendNext = (): void => {
      if (next < this.order.count) this.send(next++, nowMs());
    };
    this.onAnswer = sendNext;
    for (let i = 0; i < inFlight; i++) sendNext();
  }

  private openLoop(perSecond: number): void {
    const startMs = nowMs() + 5;
    let next = 0;
    const tick = (): void => {
      for (; next < this.order.count; next++) {
        const dueMs = startMs + (next * 1000) / perSecond;
        const lateMs = nowMs() - dueMs;
        if (lateMs < -TIMER_MS) {
          setTimeout(tick, -lateMs);
          return;
        }
        this.send(next, lateMs > TIMER_MS ? dueMs : nowMs());
      }
    };
    tick();
  }

  private send(seq: number, sentAtMs: number): void {
    const { payloadBytes, headers } = this.order;
    const target = this.targets[seq % this.targets.length];
    if (target === undefined) throw new Error('there is nowhere to publish to');
    const { path, prefix, suffix } = target;
    const body = prefix + stampedPayload({ seq, sentAtMs }, payloadBytes) + suffix;
    let status = 0;
    const settle = (): void => this.settle(seq, sentAtMs, status);
    this.pool.dispatch(
      { method: 'POST', path, headers, body },
      {
        // Undici insists on the first and the third.
        onRequestStart: () => undefined,
        onResponseStart: (_controller, code) => {
          status = code;
        },
        onResponseData: () => undefined,
        onResponseEnd: settle,
        onResponseError: () => {
          status = 0;
          settle();
        },
      },
    );
  }

  private settle(seq: number, sentAtMs: number, status: number): void {
    const answer = status === 0 ? 'error' : String(status);
    this.answers[answer] = (this.answers[answer] ?? 0) + 1;
    if (status >= 200 && status < 300) {
      const now = nowMs();
      if (this.accepted === 0) this.firstAcceptedAtMs = now;
      this.lastAcceptedAtMs = now;
      this.acceptMs[this.accepted++] = now - sentAtMs;
    } else {
      this.refused.push(seq);
    }
    if (++this.answered === this.order.count) this.done();
    else this.onAnswer();
  }
}

serveOrders(async (order) => (order.kind === 'generate' ? new Load(order.order).run() : undefined));

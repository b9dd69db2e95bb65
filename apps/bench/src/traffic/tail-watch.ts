import http from 'node:http';
import { createParser } from 'eventsource-parser';
import type { WatchedOrder, WatchedReport, WatchOrder } from './protocol.js';
import { quantilesOf } from './quantiles.js';

interface SeenAttempt {
  /** By the clock of whoever made it, which is this machine's. */
  endedAtMs: number;
  /** How often each client got it. */
  times: Uint16Array;
}

/**
 * Clients that all follow the same attempts, each on a connection of its own. None comes again when its stream ends: what
 * it misses by that is to be seen. An attempt is read once, however many clients get it.
 */
export class TailWatch {
  private readonly attempts = new Map<string, SeenAttempt>();
  private readonly lagMs: number[] = [];
  private readonly requests: http.ClientRequest[] = [];
  private firstAtMs = 0;
  private lastAtMs = 0;
  private distinct = 0;
  private ended = 0;
  private isOver = false;
  private onChange: () => void = () => undefined;

  private constructor(private readonly clients: number) {}

  /** Resolves when every stream has begun. */
  static async open({ url, headers, clients }: WatchOrder): Promise<TailWatch> {
    const watch = new TailWatch(clients);
    const all = Array.from({ length: clients }, (_, client) => watch.follow(client, url, headers));
    await Promise.all(all);
    return watch;
  }

  /** Leaves when the clients have so many attempts each, or for long none came, or no stream is left. */
  async end({ expected, patienceMs }: WatchedOrder): Promise<WatchedReport> {
    await this.whenSeen(expected * this.clients, patienceMs);
    this.isOver = true;
    for (const request of this.requests) request.destroy();
    let [missing, repeated] = [Math.max(0, expected - this.attempts.size) * this.clients, 0];
    for (const { times } of this.attempts.values()) {
      for (const count of times) {
        if (count === 0) missing++;
        else repeated += count - 1;
      }
    }
    return {
      ...{ events: this.lagMs.length, missing, repeated, ended: this.ended },
      ...{ firstAtMs: this.firstAtMs, lastAtMs: this.lastAtMs },
      lagMs: quantilesOf(Float64Array.from(this.lagMs)),
    };
  }

  private follow(client: number, url: string, headers: Record<string, string>): Promise<void> {
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === 'message') this.take(client, data);
      },
    });
    return new Promise((resolve, reject) => {
      const request = http.get(url, { headers, agent: false }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`a stream was answered ${response.statusCode}`));
        response.setEncoding('utf8').on('data', (text: string) => parser.feed(text));
        // However it ends, it is closed then.
        response.on('error', () => undefined).on('close', () => this.left());
        resolve();
      });
      request.on('error', reject);
      this.requests.push(request);
    });
  }

  private left(): void {
    if (this.isOver) return;
    this.ended++;
    this.onChange();
  }

  private take(client: number, data: string): void {
    const now = Date.now();
    const id = /"id":"([^"]+)"/.exec(data)?.[1] ?? '';
    let attempt = this.attempts.get(id);
    if (attempt === undefined) {
      attempt = { endedAtMs: endOf(data), times: new Uint16Array(this.clients) };
      this.attempts.set(id, attempt);
    }
    const before = attempt.times[client] ?? 0;
    attempt.times[client] = before + 1;
    if (before === 0) this.distinct++;
    if (this.lagMs.length === 0) this.firstAtMs = now;
    this.lastAtMs = now;
    this.lagMs.push(now - attempt.endedAtMs);
    this.onChange();
  }

  private async whenSeen(events: number, patienceMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      let seen = this.lagMs.length;
      const impatience = setInterval(() => {
        if (seen === this.lagMs.length) finish();
        seen = this.lagMs.length;
      }, patienceMs);
      const finish = (): void => {
        clearInterval(impatience);
        this.onChange = () => undefined;
        resolve();
      };
      this.onChange = () => {
        if (this.distinct >= events || this.ended === this.clients) finish();
      };
      this.onChange();
    });
  }
}

function endOf(data: string): number {
  const { started_at, duration_ms } = JSON.parse(data) as { started_at: string; duration_ms: number };
  return Date.parse(started_at) + duration_ms;
}

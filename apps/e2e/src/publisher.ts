import { createHash } from 'node:crypto';
import { RestClient } from '@posthaste/test-kit';
import type { PublishedEntry } from './oracle.js';

/**
 * A program that publishes as fast as it is answered, and behaves as a careful caller should: after a broken
 * connection, a 503 or "the first one is still running" it repeats the request with the same Idempotency-Key.
 */
export interface PublisherOptions {
  /** Requests go to these in turn, like behind a plain round robin. */
  urls: string[];
  key: string;
  account: string;
  inFlight: number;
  /** Goes into every payload, so that bodies of different runs differ. */
  run: string;
}

const GIVE_UP_MS = 60_000;
const PAUSE_MS = 50;
/** Answers that say: not now, ask again. */
const PASSING = new Set([409, 429, 503]);

export class Publisher {
  readonly history: PublishedEntry[] = [];
  private readonly clients: RestClient[];
  private sent = 0;
  private tries = 0;

  constructor(private readonly options: PublisherOptions) {
    this.clients = options.urls.map((url) => new RestClient(url, options.key));
  }

  /** Publishes so many more; `onAcknowledged` hears each one that was. */
  async publish(
    count: number,
    onAcknowledged: (acknowledged: number) => void = () => undefined,
  ): Promise<void> {
    const end = this.sent + count;
    let acknowledged = 0;
    const lane = async (): Promise<void> => {
      while (this.sent < end) {
        const entry = await this.publishOne(this.sent++);
        this.history.push(entry);
        if (entry.result.kind === 'acknowledged') onAcknowledged(++acknowledged);
      }
    };
    await Promise.all(Array.from({ length: this.options.inFlight }, lane));
  }

  private async publishOne(n: number): Promise<PublishedEntry> {
    const payload = `{"run":"${this.options.run}", "n":${n}, "amount":1.10}`;
    const idempotencyKey = `${this.options.run}-${n}`;
    const bodySha256 = createHash('sha256').update(payload).digest('hex');
    const request = {
      body: `{"event_type":"order.placed","payload":${payload}}`,
      headers: { 'idempotency-key': idempotencyKey },
    };
    const end = Date.now() + GIVE_UP_MS;
    for (;;) {
      const result = await this.tryOnce(request);
      const passing =
        result.kind === 'indeterminate' || (result.kind === 'refused' && PASSING.has(result.status));
      if (!passing || Date.now() > end) return { idempotencyKey, bodySha256, result };
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  private async tryOnce(request: {
    body: string;
    headers: Record<string, string>;
  }): Promise<PublishedEntry['result']> {
    const client = this.clients[this.tries++ % this.clients.length] as RestClient;
    try {
      const path = `/v1/accounts/${this.options.account}/messages`;
      const { status, json } = await client.send<{ id: string }>('POST', path, request);
      if (status === 202 || status === 200) return { kind: 'acknowledged', message: json.id };
      // An error on the other side says nothing about what it did before.
      return status >= 500 && status !== 503 ? { kind: 'indeterminate' } : { kind: 'refused', status };
    } catch {
      return { kind: 'indeterminate' };
    }
  }
}

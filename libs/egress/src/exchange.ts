import type { Timings } from '@posthaste/contracts';
import type { Dispatcher } from 'undici';
import { overdue } from './connection-facts.js';
import type { EgressRequest, EgressResult } from './egress-result.js';
import { EgressError, failureOf } from './failure.js';
import type { Connection, OriginPool } from './origin-pool.js';

/** What is kept of a response body, if nothing else is asked for. */
const KEPT_BODY_BYTES = 16 * 1024;
/** A body that goes on is read this far, so that the connection can serve again; beyond, a new one is cheaper. */
const DRAINED_BODY_BYTES = 64 * 1024;
/** How long a body may take after its headers: the status has decided, and the receiver should not hold a slot. */
const BODY_GRACE_MS = 2_000;

type Headers = Record<string, string | string[]>;

/**
 * One request and its response.
 *
 *   waiting -> connecting -> sent -> headers -> done
 *
 * waiting: for a connection of the pool. connecting: the connection is ours but new. sent: the request is being or has
 * been written. headers: the status is known, the body is coming. Any state goes to done by an error or the deadline;
 * from `headers` that is still a response, cut short. After done every further callback is ignored, since undici may
 * report what we caused ourselves.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly result: Promise<EgressResult>;
  private resolve!: (result: EgressResult) => void;
  private state: 'waiting' | 'connecting' | 'sent' | 'headers' | 'done' = 'waiting';
  private readonly startedAt = performance.now();
  private timer: NodeJS.Timeout;
  private readonly leaveLine: () => void;
  private connection: Connection | undefined;
  private takenAt = 0;
  private firstByteAt = 0;
  private status = 0;
  private headers: Headers = {};
  private chunks: Buffer[] = [];
  private readonly maxKeptBytes: number;
  private keptBytes = 0;
  private bodyBytes = 0;

  constructor(
    private readonly pool: OriginPool,
    private readonly path: string,
    private readonly request: EgressRequest,
  ) {
    this.maxKeptBytes = request.keptBodyBytes ?? KEPT_BODY_BYTES;
    this.result = new Promise((resolve) => (this.resolve = resolve));
    this.timer = setTimeout(() => this.expire(), request.timeoutMs);
    this.leaveLine = pool.take((connection) => this.start(connection));
  }

  onRequestStart(): void {
    if (this.state === 'connecting') this.state = 'sent';
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // 1xx is not an answer, however many come: only the deadline ends that.
    if (this.state === 'done' || status < 200) return;
    this.state = 'headers';
    this.firstByteAt = performance.now();
    this.status = status;
    this.headers = headers;
    const leftMs = this.startedAt + this.request.timeoutMs - this.firstByteAt;
    if (leftMs > BODY_GRACE_MS) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.respond(true), BODY_GRACE_MS);
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.state !== 'headers') return;
    this.bodyBytes += chunk.length;
    const room = this.maxKeptBytes - this.keptBytes;
    if (room > 0) {
      const kept = chunk.subarray(0, room);
      this.keptBytes += kept.length;
      this.chunks.push(kept);
    }
    if (this.bodyBytes > Math.max(DRAINED_BODY_BYTES, this.maxKeptBytes)) this.respond(true);
  }

  onResponseEnd(): void {
    if (this.state === 'headers') this.respond(false);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.state === 'headers') this.respond(true);
    else this.fail(error);
  }

  private start(connection: Connection): void {
    this.connection = connection;
    this.takenAt = performance.now();
    this.state = 'connecting';
    const { method = 'POST', headers, body = null } = this.request;
    try {
      connection.client.dispatch({ method, path: this.path, headers, body }, this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The deadline: what was being waited for names the failure. */
  private expire(): void {
    if (this.state === 'headers') this.respond(true);
    else if (this.state === 'connecting') {
      this.fail(overdue(this.connection?.facts?.phase ?? 'connecting', 'deadline'));
    } else this.fail(new EgressError('timeout', 'deadline'));
  }

  private respond(cut: boolean): void {
    if (this.state === 'done') return;
    const [only = Buffer.alloc(0)] = this.chunks;
    this.finish(!cut, {
      kind: 'response',
      status: this.status,
      headers: this.headers,
      body: this.chunks.length > 1 ? Buffer.concat(this.chunks) : only,
      bodyTruncated: cut || this.bodyBytes > this.keptBytes,
      timings: this.timings(),
      address: this.connection?.facts?.address ?? '',
      tls: this.connection?.facts?.tls,
    });
  }

  private fail(error: unknown): void {
    if (this.state === 'done') return;
    this.finish(false, {
      kind: 'failed',
      ...failureOf(error),
      timings: this.timings(),
      address: this.connection?.facts?.address,
      tls: this.connection?.facts?.tls,
    });
  }

  private finish(reusable: boolean, result: EgressResult): void {
    this.state = 'done';
    clearTimeout(this.timer);
    if (this.connection) this.pool.giveBack(this.connection, reusable);
    else this.leaveLine();
    this.resolve(result);
  }

  private timings(): Timings {
    const timings: Timings = { totalMs: tenths(performance.now() - this.startedAt) };
    const facts = this.connection?.facts;
    if (facts && facts.startedAt < this.takenAt) timings.connectMs = 0;
    else if (facts) {
      if (facts.dnsMs !== undefined) timings.dnsMs = tenths(facts.dnsMs);
      if (facts.connectedAt !== undefined) timings.connectMs = tenths(facts.connectedAt - facts.startedAt);
      if (facts.tlsMs !== undefined) timings.tlsMs = tenths(facts.tlsMs);
    }
    if (this.firstByteAt > 0) timings.firstByteMs = tenths(this.firstByteAt - this.startedAt);
    return timings;
  }
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

import type { Dispatcher } from 'undici';
import { overdue } from './connection-facts.js';
import { EgressError, type Failure, failureOf } from './failure.js';
import type { Connection } from './origin-pool.js';

export interface StreamRequest {
  url: string;
  headers: Record<string, string>;
  /** For connection, TLS, request and response headers together. */
  headersTimeoutMs: number;
  /** For each wait for bytes; time in which nobody reads does not count. */
  idleMs: number;
  /** Ends it in whatever state it is. */
  signal?: AbortSignal;
}

/** What may wait here unread before the socket is left alone. */
const WAITING_BYTES = 64 * 1024;

export type OpenedStream = { kind: 'open'; stream: GuardedStream } | StreamEnd;

/** What a stream ends with: the server said so, we did, or something broke. */
export type StreamEnd = { kind: 'ended' } | { kind: 'closed' } | ({ kind: 'failed' } & Failure);

export type StreamRead = { kind: 'bytes'; bytes: Buffer } | StreamEnd;

/**
 * One GET whose response may last for ever, on a connection of its own. It is read as fast as `read` is called: beyond
 * 64 KB that nobody has asked for the socket is not read, so what a server writes without end waits on its side.
 *
 *   connecting -> sent -> open -> over
 *
 * open: the headers are here, whatever the status says; a redirect is a response like any other. over: ended by the
 * server, by an error or a limit, or by us; the connection is gone, and what undici still reports is ignored. Bytes that
 * had come are still read first.
 */
export class GuardedStream implements Dispatcher.DispatchHandler {
  status = 0;
  headers: Record<string, string | string[]> = {};
  private state: 'connecting' | 'sent' | 'open' | 'over' = 'connecting';
  private end: StreamEnd = { kind: 'ended' };
  private controller: Dispatcher.DispatchController | undefined;
  private chunks: Buffer[] = [];
  private waitingBytes = 0;
  private deadline: NodeJS.Timeout;
  private opened: ((opened: OpenedStream) => void) | undefined;
  private waiting: ((read: StreamRead) => void) | undefined;

  private constructor(
    private readonly connection: Connection,
    private readonly request: StreamRequest,
  ) {
    this.deadline = setTimeout(() => this.expire(), request.headersTimeoutMs);
    request.signal?.addEventListener('abort', this.close);
  }

  /** Resolves with the response's headers, or with what there was instead. Never rejects. */
  static open(connection: Connection, path: string, request: StreamRequest): Promise<OpenedStream> {
    const stream = new GuardedStream(connection, request);
    return new Promise((resolve) => {
      stream.opened = resolve;
      if (request.signal?.aborted === true) return stream.close();
      try {
        connection.client.dispatch({ method: 'GET', path, headers: request.headers }, stream);
      } catch (error) {
        stream.fail(error);
      }
    });
  }

  /** The next bytes, as soon as there are any. One call at a time. Never rejects. */
  read(): Promise<StreamRead> {
    if (this.waitingBytes > 0) {
      const bytes = Buffer.concat(this.chunks.splice(0));
      this.waitingBytes = 0;
      this.controller?.resume();
      return Promise.resolve({ kind: 'bytes', bytes });
    }
    if (this.state === 'over') return Promise.resolve(this.end);
    return new Promise((resolve) => {
      this.waiting = resolve;
      this.deadline = setTimeout(() => this.fail(new EgressError('timeout', 'idle')), this.request.idleMs);
    });
  }

  /** Hangs up. */
  readonly close = (): void => this.finish({ kind: 'closed' });

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.state === 'connecting') this.state = 'sent';
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[]>,
  ): void {
    // 1xx is not an answer, however many come: only the deadline ends that.
    if (this.state === 'over' || status < 200) return;
    this.state = 'open';
    this.status = status;
    this.headers = headers;
    clearTimeout(this.deadline);
    this.opened?.({ kind: 'open', stream: this });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // A resumed parser may begin with nothing; pausing it for that would keep it there for ever.
    if (this.state !== 'open' || chunk.length === 0) return;
    if (this.waiting) {
      clearTimeout(this.deadline);
      this.waiting({ kind: 'bytes', bytes: chunk });
      this.waiting = undefined;
      return;
    }
    this.chunks.push(chunk);
    this.waitingBytes += chunk.length;
    if (this.waitingBytes >= WAITING_BYTES) controller.pause();
  }

  onResponseEnd(): void {
    this.finish({ kind: 'ended' });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  private expire(): void {
    const phase = this.connection.facts?.phase ?? 'connecting';
    this.fail(
      this.state === 'connecting' ? overdue(phase, 'deadline') : new EgressError('timeout', 'deadline'),
    );
  }

  private fail(error: unknown): void {
    this.finish({ kind: 'failed', ...failureOf(error) });
  }

  private finish(end: StreamEnd): void {
    if (this.state === 'over') return;
    this.state = 'over';
    this.end = end;
    clearTimeout(this.deadline);
    this.request.signal?.removeEventListener('abort', this.close);
    // Nobody else uses it, and what destroying it throws has nobody to tell.
    this.connection.client.destroy().catch(() => undefined);
    this.opened?.(end);
    this.waiting?.(end);
  }
}

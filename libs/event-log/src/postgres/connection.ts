import { Socket } from 'node:net';
import pg from 'pg';
import { EventLogError } from '../errors.js';

/**
 * One connection to PostgreSQL that comes back by itself.
 *
 * States: down -> connecting -> up -> down ..., with a growing pause between tries, until closed. A statement that is
 * not answered in its time takes the connection down with it: behind a frozen server nothing later would be answered
 * either, and what it did is unknown. Statements wait for the connection as long as their own time allows.
 */
export interface ConnectionOptions {
  url: string;
  /** Shown to the database's operators. */
  name: string;
  /** Server settings of the session, such as `{ jit: 'off' }`. */
  settings?: Record<string, string>;
  /** Runs on every new connection before anyone else may use it. */
  onUp?(client: pg.Client): Promise<void>;
  onNotification?(channel: string, payload: string): void;
  onDown?(error: Error): void;
}

interface Up {
  client: pg.Client;
  socket: Socket;
}

const CONNECT_TIMEOUT_MS = 5_000;
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 1_000;

export class Connection {
  readonly #options: ConnectionOptions;
  #up: Up | undefined;
  #connecting: Promise<void> | undefined;
  #whenUp: Promise<void>;
  #settleUp: () => void = () => undefined;
  #closed = false;
  #lastInLine: Promise<void> = Promise.resolve();
  #endPause: () => void = () => undefined;
  #abortConnecting: () => void = () => undefined;
  #lastError: Error | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#whenUp = new Promise((resolve) => (this.#settleUp = resolve));
  }

  /**
   * Statements run one after the other, in the order of the calls. Rejects with `log_unavailable` when unanswered in
   * time, waiting included, and with PostgreSQL's error when it answers with one.
   */
  async query<R extends unknown[] = unknown[]>(query: pg.QueryConfig, timeoutMs: number): Promise<R[]> {
    const before = this.#lastInLine;
    let leave: () => void = () => undefined;
    this.#lastInLine = new Promise((resolve) => (leave = resolve));
    let running: Up | undefined;
    let timer: NodeJS.Timeout | undefined;
    const expiry = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const cause = this.#lastError ? { cause: this.#lastError } : {};
        const error = new EventLogError(
          'log_unavailable',
          `no answer from PostgreSQL within ${timeoutMs} ms`,
          cause,
        );
        reject(error);
        running?.socket.destroy(error);
      }, timeoutMs);
    });
    try {
      await Promise.race([before, expiry]);
      running = this.#up ?? (await Promise.race([this.#connected(), expiry]));
      const answer = running.client.query<R>({ ...query, rowMode: 'array' });
      return (await Promise.race([answer, expiry])).rows;
    } catch (error) {
      if (error instanceof pg.DatabaseError || error instanceof EventLogError) throw error;
      throw new EventLogError('log_unavailable', 'the connection to PostgreSQL was lost', { cause: error });
    } finally {
      clearTimeout(timer);
      // Also one that gave up waiting keeps its place: the next must not overtake what still runs.
      void before.then(leave);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#endPause();
    this.#abortConnecting();
    const up = this.#up;
    this.#up = undefined;
    if (up) await endOrDestroy(up);
    this.#settleUp();
    await this.#connecting;
  }

  async #connected(): Promise<Up> {
    for (;;) {
      if (this.#up) return this.#up;
      if (this.#closed) throw new EventLogError('log_closed', 'the log is closed');
      this.#connect();
      await this.#whenUp;
    }
  }

  #connect(): void {
    if (this.#closed) return;
    this.#connecting ??= this.#tryUntilUp().finally(() => {
      this.#connecting = undefined;
    });
  }

  async #tryUntilUp(): Promise<void> {
    for (let pauseMs = PAUSE_MIN_MS; !this.#closed; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
      const socket = new Socket();
      const client = new pg.Client({
        connectionString: this.#options.url,
        application_name: this.#options.name,
        options: Object.entries({ jit: 'off', ...this.#options.settings })
          .map(([name, value]) => `-c ${name}=${value}`)
          .join(' '),
        stream: () => socket,
        keepAlive: true,
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      });
      const connection = { client, socket };
      this.#abortConnecting = () => socket.destroy();
      // Without a listener an error of an idle connection would end the process.
      client.on('error', (error) => this.#lost(connection, error));
      client.on('end', () => this.#lost(connection, new Error('the connection to PostgreSQL ended')));
      client.on('notification', ({ channel, payload }) =>
        this.#options.onNotification?.(channel, payload ?? ''),
      );
      try {
        await client.connect();
        await this.#options.onUp?.(client);
        if (this.#closed || socket.destroyed) throw new Error('the connection ended while it was set up');
        this.#abortConnecting = () => undefined;
        this.#up = connection;
        this.#settleUp();
        return;
      } catch (error) {
        this.#lastError = error instanceof Error ? error : new Error(String(error));
        socket.destroy();
        await this.#pause(pauseMs);
      }
    }
  }

  #lost(connection: Up, error: Error): void {
    if (this.#up !== connection) return;
    this.#up = undefined;
    connection.socket.destroy();
    this.#whenUp = new Promise((resolve) => (this.#settleUp = resolve));
    if (this.#closed) return;
    this.#options.onDown?.(error);
    this.#connect();
  }

  async #pause(pauseMs: number): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** A frozen server never says goodbye. */
async function endOrDestroy({ client, socket }: Up): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), 1_000);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

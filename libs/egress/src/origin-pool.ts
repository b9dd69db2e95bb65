import { Client } from 'undici';
import { type ConnectionFacts, newFacts } from './connection-facts.js';
import type { GuardedConnector } from './guarded-connect.js';

/**
 * The connections to one origin, each used for one request at a time.
 *
 * A connection is idle (in the stack, most recently used on top, so that the rest can expire) or taken. When all are
 * taken and the limit is reached, takers wait in line. A connection given back as spoiled is destroyed: what a receiver
 * left unread on it must never be taken for the answer to the next request.
 *
 * undici's own Pool does not say which connection carried a request; this one knows its address and whether it was new.
 */
export interface OriginPoolOptions {
  connect: GuardedConnector;
  maxConnections: number;
  maxHeaderBytes: number;
}

/** An unused connection is closed after this, before most servers would: Node's own default is 5 s. */
const IDLE_MS = 4_000;
/** A receiver's `Keep-Alive: timeout=` is believed up to this. */
const IDLE_MAX_MS = 10_000;

export class Connection {
  readonly client: Client;
  /** Of the connection made last; undefined before the first. */
  facts: ConnectionFacts | undefined;

  constructor(origin: string, { connect, maxHeaderBytes }: OriginPoolOptions) {
    this.client = new Client(origin, {
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MAX_MS,
      // The deadline of a request is its caller's; these would start again with every byte.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (target, callback) => {
        this.facts = newFacts();
        connect(target, this.facts, callback);
      },
    });
  }
}

export class OriginPool {
  private readonly idle: Connection[] = [];
  private readonly waiting = new Set<(connection: Connection) => void>();
  private open = 0;
  private retired = false;

  constructor(
    private readonly origin: string,
    private readonly options: OriginPoolOptions,
  ) {}

  /** Calls `use` with a connection, at once if one is free. The function returned takes a waiter out of the line. */
  take(use: (connection: Connection) => void): () => void {
    const free = this.idle.pop() ?? (this.open < this.options.maxConnections ? this.openConnection() : null);
    if (free) use(free);
    else this.waiting.add(use);
    return () => this.waiting.delete(use);
  }

  giveBack(connection: Connection, reusable: boolean): void {
    let next = connection;
    if (!reusable || this.retired) {
      this.drop(connection);
      if (this.waiting.size === 0) return;
      next = this.openConnection();
    }
    const [use] = this.waiting;
    if (use === undefined) {
      this.idle.push(next);
      return;
    }
    this.waiting.delete(use);
    use(next);
  }

  /** Closes what is idle now and the rest as it is given back. */
  retire(): void {
    this.retired = true;
    for (const connection of this.idle.splice(0)) this.drop(connection);
  }

  private openConnection(): Connection {
    this.open++;
    const connection = new Connection(this.origin, this.options);
    connection.client.on('disconnect', () => this.forgetIdle(connection));
    return connection;
  }

  private forgetIdle(connection: Connection): void {
    const at = this.idle.indexOf(connection);
    if (at === -1) return;
    this.idle.splice(at, 1);
    this.drop(connection);
  }

  private drop(connection: Connection): void {
    this.open--;
    // Its requests have all ended or been given up; what destroying it throws has nobody to tell.
    connection.client.destroy().catch(() => undefined);
  }
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { freePorts } from '@posthaste/local-stack';
import { Arrivals } from './arrivals.js';
import type { Behaviour, Expected } from './protocol.js';
import { nowMs, readStamp } from './stamped-payload.js';

/**
 * One customer's server, on a port of its own: the product counts requests by server, as the internet's are not one
 * machine either. It behaves as it is told, and keeps what it answered 200 to; the rest it has not received.
 *
 * A port that refuses is one nobody listens on. It is taken from below the range of outgoing connections, so it is
 * still free when the receiver comes back, and no connection can meet itself there.
 */
export class BenchReceiver {
  private server: Server | undefined;
  private arrivals = new Arrivals({ messages: 0, endpoints: 1 });

  private constructor(
    private readonly port: number,
    private behaviour: Behaviour,
  ) {}

  static async open(behaviour: Behaviour): Promise<BenchReceiver> {
    const [port] = await freePorts(1);
    const receiver = new BenchReceiver(port ?? 0, behaviour);
    await receiver.behave(behaviour);
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  get seen(): Arrivals {
    return this.arrivals;
  }

  reset(expected: Expected): void {
    this.arrivals = new Arrivals(expected);
  }

  /** From now on, and for requests already there when it refuses: their connections are cut. */
  async behave(behaviour: Behaviour): Promise<void> {
    this.behaviour = behaviour;
    if (behaviour === 'refuse') return this.close();
    if (this.server !== undefined) return;
    const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      this.receive(request, response);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port, '127.0.0.1', resolve);
    });
    this.server = server;
  }

  async close(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  private receive(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (this.behaviour === 'prompt') {
        const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
        this.arrivals.take(readStamp(body), Number(request.url?.slice(1)), nowMs());
      }
      answer(this.behaviour, response);
    });
  }
}

const DRIP_MS = 1_000;
const LATE_MS = 10_000;

function answer(behaviour: Behaviour, response: ServerResponse): void {
  switch (behaviour) {
    case 'prompt':
      response.writeHead(200, { 'content-length': 0 });
      response.end();
      return;
    case 'fail':
      response.writeHead(500, { 'content-length': 0 });
      response.end();
      return;
    case 'drip':
      return drip(response);
    case 'late-500': {
      const timer = setTimeout(() => answer('fail', response), LATE_MS);
      response.once('close', () => clearTimeout(timer));
      return;
    }
    // What was under way when the port closed.
    case 'refuse':
    case 'hang':
      return;
  }
}

/** Past Node's own answer, which knows no half a header. */
function drip({ socket }: ServerResponse): void {
  const head = 'HTTP/1.1 200 OK\r\nx-drip: ';
  let sent = 0;
  const next = (): void => {
    socket?.write(head[sent++] ?? 'x');
  };
  next();
  const timer = setInterval(next, DRIP_MS);
  socket?.once('close', () => clearInterval(timer));
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { waitFor } from './wait-for.js';

type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

/** A tenant's own backend: a stream of server-sent events that remembers them, and resumes after `Last-Event-ID`. */
export class Upstream {
  /** Of each connection that was asked for, in order. */
  readonly requests: IncomingMessage[] = [];
  /** Of each request for anything else. */
  readonly listed: IncomingMessage[] = [];
  readonly open = new Set<ServerResponse>();
  /** What the stream's path does instead of streaming. */
  behaviour: Behaviour | undefined;
  /** What any other path answers, and when. */
  list: unknown = [];
  listing: Promise<void> = Promise.resolve();
  /** How many events it says again to whoever resumes behind them. */
  repeats = 0;
  private readonly sent: { id: string; text: string }[] = [];
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => {
      if (!request.url?.startsWith('/stream')) {
        this.listed.push(request);
        void this.listing.then(() =>
          response.setHeader('content-type', 'application/json').end(JSON.stringify(this.list)),
        );
        return;
      }
      this.requests.push(request);
      if (this.behaviour) return this.behaviour(request, response);
      this.stream(request, response);
    });
  }

  static async start(): Promise<Upstream> {
    const upstream = new Upstream();
    await new Promise<void>((resolve) => upstream.server.listen(0, '127.0.0.1', resolve));
    return upstream;
  }

  url(path = '/stream'): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}${path}`;
  }

  /** Sends an event on every connection, and to whoever resumes before it. */
  send(id: string, type: string, data: unknown): void {
    const text = `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
    this.sent.push({ id, text });
    this.write(text);
  }

  /** Says something that nobody can resume from. */
  write(text: string): void {
    for (const response of this.open) response.write(text);
  }

  hangUp(): void {
    for (const response of this.open) response.destroy();
  }

  /** Until so many connections are open. */
  async whenOpen(connections: number): Promise<void> {
    await waitFor(() => this.open.size === connections, {
      what: `${connections} upstream connections`,
      deadlineMs: 20_000,
    });
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private stream(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 100\n\n');
    const after = request.headers['last-event-id'];
    const from = after === undefined ? 0 : this.sent.findIndex(({ id }) => id === after) + 1;
    for (const { text } of this.sent.slice(Math.max(0, from - this.repeats))) response.write(text);
    this.open.add(response);
    response.on('close', () => this.open.delete(response));
  }
}

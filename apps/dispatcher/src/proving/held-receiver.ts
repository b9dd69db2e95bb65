import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { waitFor } from '@posthaste/test-kit';

/** A receiver that answers nothing until it is told to, so that a test can act while attempts are in flight. */
export class HeldReceiver {
  /** The webhook-id of every request, in the order they came. */
  readonly ids: string[] = [];
  private readonly held: ServerResponse[] = [];
  private isOpen = false;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<HeldReceiver> {
    const server = createServer();
    const receiver = new HeldReceiver(server);
    server.on('request', (request, response) => {
      request.resume().on('end', () => {
        receiver.ids.push(String(request.headers['webhook-id']));
        if (receiver.isOpen) response.end();
        else receiver.held.push(response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  whenReceived(count: number): Promise<true> {
    return waitFor(() => this.ids.length >= count, { what: `${count} requests` });
  }

  /** Answers all that is held, with 200, and everything from now on at once. */
  answerAll(): void {
    this.isOpen = true;
    for (const response of this.held.splice(0)) response.end();
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

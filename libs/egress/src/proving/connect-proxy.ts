import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** An HTTP proxy that knows only CONNECT. It goes to `onward` on loopback, whatever it is asked for, and remembers. */
export class ConnectProxy {
  readonly asked: { authority: string; authorization: string | undefined }[] = [];
  /** What it answers: 200 connects, 0 nothing at all, -1 hangs up. By authority, else `answer`. */
  answer = 200;
  readonly answers: Record<string, number> = {};
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    onward: () => number,
  ) {
    server.on('connection', (socket: Socket) => this.sockets.add(socket.on('error', () => undefined)));
    server.on('connect', (request, client: Socket) => {
      const authority = request.url ?? '';
      this.asked.push({ authority, authorization: request.headers['proxy-authorization'] });
      const answer = this.answers[authority] ?? this.answer;
      if (answer === 0) return;
      if (answer === -1) client.destroy();
      else if (answer !== 200) client.end(`HTTP/1.1 ${answer} No\r\n\r\n`);
      else {
        const target = connect(onward(), '127.0.0.1', () => {
          client.write('HTTP/1.1 200 Connection established\r\n\r\n');
          target.pipe(client).pipe(target);
        });
        this.sockets.add(target.on('error', () => client.destroy()));
      }
    });
  }

  static async start(onward: () => number): Promise<ConnectProxy> {
    const server = createServer();
    const proxy = new ConnectProxy(server, onward);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

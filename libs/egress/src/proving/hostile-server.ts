import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions, type TLSSocket } from 'node:tls';
import { receiver } from './certificates.js';

const ok = (body = '', headers = '') =>
  `HTTP/1.1 200 OK\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** Writes without end, as fast as the other side reads, until it hangs up. */
function flood(socket: Socket, text: string): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on('drain', more);
  more();
}

function drip(socket: Socket, text: string, everyMs: number): void {
  const timer = setInterval(() => socket.write(text), everyMs);
  socket.on('close', () => clearInterval(timer));
}

/** What a receiver does with the headers of a request, before its body is there. */
const beforeTheBody: Record<string, (socket: Socket) => 'reads no further'> = {
  '/reads-nothing': (socket) => {
    socket.pause();
    return 'reads no further';
  },
  '/too-large': (socket) => {
    socket.removeAllListeners('data').resume();
    socket.end('HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    return 'reads no further';
  },
};

/** What a receiver does after a whole request has come in; chosen by the path. */
const behaviours: Record<string, (socket: Socket) => void> = {
  '/ok': (socket) => socket.write(ok('fine')),
  '/hang': () => undefined,
  '/drip-headers': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nx-slow: ');
    drip(socket, 'a', 20);
  },
  '/early-hints': (socket) => drip(socket, 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(50), 5),
  '/continue': (socket) => flood(socket, 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(1_000)),
  '/slow-body': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nfirst');
    drip(socket, '.', 20);
  },
  '/silent-body': (socket) => socket.write('HTTP/1.1 500 No\r\ncontent-length: 99999999999\r\n\r\nhalf'),
  '/endless-body': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    flood(socket, `1000\r\n${'x'.repeat(4_096)}\r\n`);
  },
  '/20k': (socket) => socket.write(ok('y'.repeat(20_000))),
  '/closed-body': (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf'),
  '/50k-headers': (socket) => socket.write(ok('', `x-big: ${'h'.repeat(50_000)}\r\n`)),
  '/10000-headers': (socket) => socket.write(ok('', 'x: y\r\n'.repeat(10_000))),
  '/garbage': (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n\r\n\u0000\u0001'),
  '/two-lengths': (socket) =>
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'),
  '/length-and-chunked': (socket) =>
    socket.write(
      'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    ),
  '/http-0.9': (socket) => socket.end('<html>hello</html>'),
  '/h2-preface': (socket) => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  '/status-999': (socket) => socket.write('HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n'),
  '/204-with-body': (socket) => socket.write('HTTP/1.1 204 No Content\r\ncontent-length: 8\r\n\r\nsmuggled'),
  '/1000-cookies': (socket) => socket.write(ok('', 'set-cookie: a=b\r\n'.repeat(700))),
  '/ok-then-close': (socket) => socket.end(ok('fine')),
  '/upgrade': (socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
  '/status-099': (socket) => socket.write('HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n'),
  '/redirect': (socket) =>
    socket.write('HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n'),
  '/reset': (socket) => socket.resetAndDestroy(),
  '/close': (socket) => socket.end(),
  '/close-in-headers': (socket) => socket.end('HTTP/1.1 200 OK\r\nx-half: '),
  '/gzip': (socket) => socket.write(ok('not inflated', 'content-encoding: gzip\r\n')),
  '/smuggle': (socket) => socket.write(ok('first') + ok('smuggled')),
  '/proto': (socket) => socket.write(ok('', '__proto__: a\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n')),
};

/**
 * A receiver that does all a receiver should not, byte by byte, as the path of a request asks for. It keeps what it
 * was sent as it came over the wire.
 */
export class HostileServer {
  connections = 0;
  readonly requests: string[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket)));
    });
  }

  static plain(onSocket?: (socket: Socket) => void): Promise<HostileServer> {
    return HostileServer.listen(createServer(), 'connection', onSocket);
  }

  /** As receiver.example.com, unless told otherwise. */
  static tls(options: TlsOptions = {}, onSecured?: (socket: TLSSocket) => void): Promise<HostileServer> {
    const server = createTlsServer({ cert: receiver.certificate, key: receiver.key, ...options });
    if (onSecured) server.on('secureConnection', onSecured);
    return HostileServer.listen(server, 'secureConnection');
  }

  private static async listen(
    server: Server,
    event: 'connection' | 'secureConnection',
    onSocket?: (socket: Socket) => void,
  ): Promise<HostileServer> {
    const hostile = new HostileServer(server);
    server.on(event, onSocket ?? ((socket: Socket) => hostile.serve(socket)));
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return hostile;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Resolves when no connection is open any more, on either side. */
  async whenDisconnected(): Promise<void> {
    const open = [...this.sockets];
    await Promise.all(open.map((socket) => new Promise((closed) => socket.once('close', closed))));
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private serve(socket: Socket): void {
    this.connections++;
    let received = '';
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      received += data.toString('latin1');
      const end = received.indexOf('\r\n\r\n');
      if (end === -1) return;
      const path = received.split(' ')[1] ?? '';
      if (beforeTheBody[path]?.(socket) === 'reads no further') return;
      const bodyBytes = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
      if (received.length < end + 4 + bodyBytes) return;
      this.requests.push(received);
      received = '';
      behaviours[path]?.(socket);
    });
  }
}

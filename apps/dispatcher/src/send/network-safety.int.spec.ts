import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type DeliveryAttempted, type DueMeta, type EndpointState, topics } from '@posthaste/contracts';
import { memoryLog } from '../proving/logs.js';
import { Stage } from '../proving/stage.js';

const oddBytes = Buffer.from('\0\xff\xfe\x1b[2J<script>alert(1)</script>', 'latin1');
const answerOf = (head: string, body: string | Buffer = '') =>
  Buffer.concat([
    Buffer.from(`HTTP/1.1 ${head}\r\ncontent-length: ${body.length}\r\n\r\n`),
    Buffer.from(body),
  ]);

/** What the receiver does with a whole request, by its path. */
const behaviours: Record<string, (socket: Socket, request: string) => void> = {
  '/ok': (socket) => socket.write(answerOf('200 OK')),
  '/404': (socket) => socket.write(answerOf('404 No')),
  '/999': (socket) => socket.write(answerOf('999 Odd')),
  '/099': (socket) => socket.write(answerOf('099 Odd')),
  '/413': (socket) => socket.end(answerOf('413 Too Large\r\nconnection: close')),
  '/redirect': (socket) => socket.write(answerOf('302 Found\r\nlocation: http://169.254.169.254/')),
  '/hang': () => undefined,
  '/reset': (socket) => socket.resetAndDestroy(),
  '/garbage': (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
  '/headers': (socket) => socket.write(answerOf(`200 OK\r\nx: ${'h'.repeat(50_000)}`)),
  '/odd-bytes': (socket) => socket.write(answerOf('500 No', oddBytes)),
  '/echo': (socket, request) => {
    const authorization = /authorization: (.*)\r\n/.exec(request)?.[1] ?? '';
    socket.write(answerOf(`200 OK\r\nx-echo: ${authorization}`, request));
  },
};

/**
 * The rows of the network safety table as a whole dispatcher meets them. A test's name begins with its row; each ends
 * with an ordinary delivery by the same dispatcher.
 */
describe('network safety, the dispatcher', () => {
  const sockets = new Set<Socket>();
  let server: Server;
  let origin = '';
  let stage: Stage;

  beforeAll(async () => {
    server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      let received = '';
      socket.on('data', (data) => {
        received += data.toString('latin1');
        const bodyBytes = Number(/content-length: (\d+)/.exec(received)?.[1] ?? 0);
        if (received.length < received.indexOf('\r\n\r\n') + 4 + bodyBytes) return;
        const request = received;
        received = '';
        behaviours[request.split(' ')[1] ?? '']?.(socket, request);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    stage = await Stage.prepare(await memoryLog());
    await stage.start();
  });
  afterAll(async () => {
    await stage.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  async function attempt(url: string, fields: Partial<EndpointState> = {}): Promise<DeliveryAttempted> {
    const endpoint = await stage.configureEndpoint(url, fields);
    const [event] = await stage.attemptsOf([await stage.publish([endpoint])]);
    if (!event) throw new Error('no attempt');
    return event;
  }
  const goesOn = () =>
    expect(attempt(`http://${origin}/ok`)).resolves.toMatchObject({ outcome: 'succeeded' });

  it.each<[number, string, string]>([
    [41, '/redirect', 'http_redirect'],
    [43, '/hang', 'timeout'],
    [48, '/headers', 'headers_overflow'],
    [49, '/garbage', 'protocol'],
    [51, '/099', 'protocol'],
    [51, '/999', 'http_status'],
    [53, '/reset', 'connection'],
    [56, '/413', 'http_status'],
  ])('%i: %s is written down as %s, and tried again', async (_, path, attemptClass) => {
    const event = await attempt(`http://${origin}${path}`, {
      timeoutSeconds: attemptClass === 'timeout' ? 0.5 : 10,
    });
    expect(event).toMatchObject({
      outcome: 'failed',
      error: { class: attemptClass },
      decision: { kind: 'retry' },
    });
    await goesOn();
  });

  it.each([
    [13, 'https://169.254.169.254/', 'blocked_address'],
    [15, 'https://10.0.0.5/', 'blocked_address'],
    [31, 'http://example.com/', 'invalid_url'],
    [32, 'https://example.com:6379/', 'invalid_url'],
  ])('%i: %s, whoever let it in, is not called: %s', async (_, url, attemptClass) => {
    const event = await attempt(url);
    expect(event).toMatchObject({ outcome: 'failed', error: { class: attemptClass } });
    expect(event.address).toBeUndefined();
    await goesOn();
  });

  it('38: an endpoint moved to a forbidden URL while a retry is pending is not called there', async () => {
    const endpoint = await stage.configureEndpoint(`http://${origin}/404`);
    const published = await stage.publish([endpoint]);
    await stage.attemptsOf([published]);
    await stage.configure({ ...endpoint, version: 2, url: 'https://169.254.169.254/latest' });
    const routes = [{ endpoint: endpoint.id, version: 2 }];
    const due: DueMeta = { ...published.meta, routes, attempt: 2, trigger: 'retry' };
    await stage.append(topics.due, { meta: due, payload: Buffer.from('{}') });
    const [, second] = await stage.eventsOf(published.deliveries[0], 2);
    expect(second).toMatchObject({
      attempt: 2,
      outcome: 'failed',
      error: { class: 'blocked_address' },
      decision: { kind: 'retry' },
    });
    await goesOn();
  });

  it('57: a receiver that speaks no TLS is written down as tls_handshake', async () => {
    const event = await attempt(`https://${origin}/ok`, { timeoutSeconds: 2 });
    expect(event).toMatchObject({ outcome: 'failed', error: { class: 'tls_handshake' } });
    await goesOn();
  });

  it('60: a body of any bytes is kept as it came', async () => {
    const event = await attempt(`http://${origin}/odd-bytes`);
    expect(Buffer.from(event.response?.body ?? '', 'base64')).toEqual(oddBytes);
    await goesOn();
  });

  it('62: what a receiver sends back of our secrets is not written down, nor what we sent of them', async () => {
    const headers = { Authorization: 'Bearer a-token-of-the-shop', 'x-shop': 'shop-seven' };
    const event = await attempt(`http://${origin}/echo`, { headers });
    const body = Buffer.from(event.response?.body ?? '', 'base64').toString();
    expect(body).toContain('authorization: [hidden]\r\n');
    expect(event.response?.headers['x-echo']).toBe('[hidden]');
    expect(event.request.headers.authorization).toBe('Bear... (26 characters)');
    expect(JSON.stringify(event) + body).not.toContain('a-token-of-the-shop');
    expect(event.outcome).toBe('succeeded');
    await goesOn();
  });
});

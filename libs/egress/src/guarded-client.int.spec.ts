import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type EgressResult, GuardedClient, type GuardedClientOptions, parseEgressPolicy } from './index.js';

// Self-signed for receiver.example.com, until 2126. It protects nothing but this test.
const certificate = `-----BEGIN CERTIFICATE-----
MIIBtTCCAVygAwIBAgIUGjhFxPBTE084YMQiGkHL1Rl088EwCgYIKoZIzj0EAwIw
HzEdMBsGA1UEAwwUcmVjZWl2ZXIuZXhhbXBsZS5jb20wIBcNMjYxMTIxMDcyODIx
WhgPMjEyNjEwMjgwNzI4MjFaMB8xHTAbBgNVBAMMFHJlY2VpdmVyLmV4YW1wbGUu
Y29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0/2WK+kcRdX2ojrqa0BooWZ1
Zb8CEqo8tX0sg7AQ8neBnAUIPgsNQIvyJImYUGqQzwhEA5ASjWwNGiZiurztIqN0
MHIwHQYDVR0OBBYEFNC04XFdRNQA3AN11GcbfM6Xf7cwMB8GA1UdIwQYMBaAFNC0
4XFdRNQA3AN11GcbfM6Xf7cwMA8GA1UdEwEB/wQFMAMBAf8wHwYDVR0RBBgwFoIU
cmVjZWl2ZXIuZXhhbXBsZS5jb20wCgYIKoZIzj0EAwIDRwAwRAIgDalsm7qO2ZVp
hQWfYl9RhW18Z4nxoaalJNOhm1+v4rwCIClVQS7kvSmr5jfYY8uGhBBG/hVCWzBF
1lnZvKjrTUXi
-----END CERTIFICATE-----`;
const privateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFXLirXblbDHXhe/i
9wGm+SyvEjD9JTewi/skCQnkTZOhRANCAATT/ZYr6RxF1faiOuprQGihZnVlvwIS
qjy1fSyDsBDyd4GcBQg+Cw1Ai/IkiZhQapDPCEQDkBKNbA0aJmK6vO0i
-----END PRIVATE KEY-----`;

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

const seen = { connections: 0, requests: [] as string[] };

function serve(socket: Socket): void {
  seen.connections++;
  let received = '';
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    received += data.toString('latin1');
    const end = received.indexOf('\r\n\r\n');
    const bodyBytes = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
    if (end === -1 || received.length < end + 4 + bodyBytes) return;
    seen.requests.push(received);
    const path = received.split(' ')[1] ?? '';
    received = '';
    behaviours[path]?.(socket);
  });
}

describe('the guarded client', () => {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  const clients: GuardedClient[] = [];
  let plain = '';
  let tlsPort = 0;

  const listen = async (server: Server): Promise<number> => {
    servers.push(server);
    server.on('connection', (socket: Socket) => {
      sockets.add(socket.on('close', () => sockets.delete(socket)));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return (server.address() as AddressInfo).port;
  };
  const newClient = (options: Partial<GuardedClientOptions> = {}): GuardedClient => {
    const client = new GuardedClient({ policy: parseEgressPolicy('127.0.0.0/8'), ...options });
    clients.push(client);
    return client;
  };
  const post = (client: GuardedClient, url: string, timeoutMs = 5_000): Promise<EgressResult> =>
    client.send({ url, headers: { 'x-test': '1' }, body: Buffer.from('{"a":1.10}'), timeoutMs });

  beforeAll(async () => {
    plain = `http://127.0.0.1:${await listen(createServer(serve))}`;
    tlsPort = await listen(createTlsServer({ cert: certificate, key: privateKey }, serve));
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  });

  it('posts the bytes and returns what came back', async () => {
    const result = await post(newClient(), `${plain}/ok`);
    expect(result).toMatchObject({ kind: 'response', status: 200, bodyTruncated: false });
    expect(result.address).toBe(plain.replace('http://', ''));
    expect(result.kind === 'response' && result.body.toString()).toBe('fine');
    expect(seen.requests.at(-1)).toMatch(
      /^POST \/ok HTTP\/1\.1\r\n[^]*x-test: 1\r\n[^]*\r\n\r\n\{"a":1\.10\}$/,
    );
  });

  it('keeps a connection for the next request, and opens no more than allowed', async () => {
    const client = newClient({ maxConnectionsPerOrigin: 2 });
    seen.connections = 0;
    const first = await post(client, `${plain}/ok`);
    const second = await post(client, `${plain}/ok`);
    expect(first.timings.connectMs).toBeGreaterThan(0);
    expect(second.timings.connectMs).toBe(0);
    expect(seen.connections).toBe(1);
    const many = await Promise.all(Array.from({ length: 20 }, () => post(client, `${plain}/ok`)));
    expect(many.map((result) => result.kind)).toEqual(Array(20).fill('response'));
    expect(seen.connections).toBe(2);
  });

  it.each([
    ['/hang', 'timeout'],
    ['/drip-headers', 'timeout'],
    ['/early-hints', 'timeout'],
    ['/continue', 'protocol'],
    ['/50k-headers', 'headers_overflow'],
    ['/10000-headers', 'headers_overflow'],
    ['/garbage', 'protocol'],
    ['/two-lengths', 'protocol'],
    ['/upgrade', 'protocol'],
    ['/status-099', 'protocol'],
    ['/reset', 'connection'],
    ['/close', 'connection'],
    ['/close-in-headers', 'connection'],
  ])('calls %s a failure of class %s and goes on', async (path, attemptClass) => {
    const client = newClient();
    const result = await post(client, plain + path, 500);
    expect(result).toMatchObject({ kind: 'failed', class: attemptClass });
    expect(result.kind === 'failed' && result.message).not.toContain('127.0.0.1');
    await expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ kind: 'response', status: 200 });
  });

  it.each([
    ['/slow-body', 200, 'first', true],
    ['/silent-body', 500, 'half', true],
    ['/endless-body', 200, 'x'.repeat(16_384), true],
    ['/20k', 200, 'y'.repeat(16_384), true],
    ['/closed-body', 200, 'half', true],
    ['/redirect', 302, '', false],
    ['/gzip', 200, 'not inflated', false],
  ])('lets the status of %s decide: %i', async (path, status, body, bodyTruncated) => {
    const client = newClient();
    const result = await post(client, plain + path, 400);
    expect(result).toMatchObject({ kind: 'response', status, bodyTruncated });
    expect(result.kind === 'response' && result.body.subarray(0, body.length).toString()).toBe(body);
    expect(result.kind === 'response' && result.body.length).toBeLessThanOrEqual(16_384);
    await expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ kind: 'response', status: 200 });
  });

  it('cuts a body that goes on after the grace, well before a long deadline', async () => {
    const result = await post(newClient(), `${plain}/slow-body`, 60_000);
    expect(result).toMatchObject({ kind: 'response', status: 200, bodyTruncated: true });
  });

  it('never takes a smuggled second response for the answer to the next request', async () => {
    const client = newClient({ maxConnectionsPerOrigin: 1 });
    for (let i = 0; i < 3; i++) {
      const first = await post(client, `${plain}/smuggle`);
      expect(first.kind === 'response' && first.body.toString()).toBe('first');
      const second = await post(client, `${plain}/ok`);
      if (second.kind === 'response') expect(second.body.toString()).toBe('fine');
    }
  });

  it('keeps odd header names as plain data', async () => {
    const result = await post(newClient(), `${plain}/proto`);
    expect(result.kind === 'response' && result.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(({} as Record<string, unknown>).a).toBeUndefined();
  });

  it('does not wait for a connection beyond the deadline', async () => {
    const client = newClient({ maxConnectionsPerOrigin: 1 });
    const holding = post(client, `${plain}/hang`, 600);
    await expect(post(client, `${plain}/ok`, 100)).resolves.toMatchObject({
      kind: 'failed',
      class: 'timeout',
    });
    const third = post(client, `${plain}/ok`);
    await expect(holding).resolves.toMatchObject({ kind: 'failed', class: 'timeout' });
    await expect(third).resolves.toMatchObject({ kind: 'response', status: 200 });
  });

  it('says when nobody listens', async () => {
    const unused = createServer();
    const port = await listen(unused);
    await new Promise((done) => unused.close(done));
    const result = await post(newClient(), `http://127.0.0.1:${port}/`);
    expect(result).toMatchObject({ kind: 'failed', class: 'connection' });
    expect(result.kind === 'failed' && result.message).toContain('ECONNREFUSED');
  });

  it('gives up a connection that is not established in time', async () => {
    const never = newClient({ lookup: () => new Promise(() => undefined), connectTimeoutMs: 300 });
    await expect(post(never, 'https://receiver.example.com/')).resolves.toMatchObject({
      class: 'connect_timeout',
    });
    const silent = await listen(createServer(() => undefined));
    const handshake = newClient({ connectTimeoutMs: 300 });
    await expect(post(handshake, `https://127.0.0.1:${silent}/`)).resolves.toMatchObject({
      class: 'connect_timeout',
    });
    const deadline = newClient({ lookup: () => new Promise(() => undefined) });
    await expect(post(deadline, 'https://receiver.example.com/', 50)).resolves.toMatchObject({
      class: 'connect_timeout',
    });
  });

  describe('reaches only allowed addresses:', () => {
    const url = () => `https://receiver.example.com:${tlsPort}/ok`;
    const named = (addresses: string[], allow = '127.0.0.0/8') =>
      newClient({ lookup: async () => addresses, policy: parseEgressPolicy(allow), ca: certificate });

    it('a name that resolves to one is called there, and its certificate checked', async () => {
      await expect(post(named(['127.0.0.1']), url())).resolves.toMatchObject({
        kind: 'response',
        address: `127.0.0.1:${tlsPort}`,
      });
      const untrusting = newClient({ lookup: async () => ['127.0.0.1'] });
      const result = await post(untrusting, url());
      expect(result).toMatchObject({ kind: 'failed', class: 'tls' });
      expect(result.kind === 'failed' && result.message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
      const other = url().replace('receiver', 'other');
      await expect(post(named(['127.0.0.1']), other)).resolves.toMatchObject({ class: 'tls' });
      const speaksHttp = createServer((socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 400 No\r\n\r\n')),
      );
      const plainPort = url().replace(String(tlsPort), String(await listen(speaksHttp)));
      await expect(post(named(['127.0.0.1']), plainPort)).resolves.toMatchObject({ class: 'tls' });
    });

    it.each([
      ['a private address', ['127.0.0.1'], ''],
      ['a public and a private one', ['127.0.0.1', '10.0.0.1'], '127.0.0.0/8'],
      ['a mapped metadata address', ['127.0.0.1', '::ffff:169.254.169.254'], '127.0.0.0/8'],
      ['something that is no address', ['127.0.0.1', 'localhost'], '127.0.0.0/8'],
    ])('a name that resolves to %s is not called', async (_, addresses, allow) => {
      seen.connections = 0;
      await expect(post(named(addresses, allow), url())).resolves.toMatchObject({
        kind: 'failed',
        class: 'blocked_address',
      });
      expect(seen.connections).toBe(0);
    });

    it('a name that changes its address is judged anew at the next connection', async () => {
      let addresses = ['127.0.0.1'];
      const client = newClient({ lookup: async () => addresses, ca: certificate, maxOrigins: 1 });
      await expect(post(client, url())).resolves.toMatchObject({ kind: 'response' });
      addresses = ['169.254.169.254'];
      await post(client, `${plain}/ok`);
      await expect(post(client, url())).resolves.toMatchObject({ class: 'blocked_address' });
    });

    it('a name without addresses, or that cannot be looked up, is a failure of dns', async () => {
      await expect(post(named([]), url())).resolves.toMatchObject({ class: 'dns' });
      const failing = newClient({
        lookup: () => Promise.reject(Object.assign(new Error('no'), { code: 'ESERVFAIL' })),
      });
      const result = await post(failing, url());
      expect(result).toMatchObject({ class: 'dns' });
      expect(result.kind === 'failed' && result.message).toContain('ESERVFAIL');
    });

    it('a forbidden literal is refused before anything else', async () => {
      const client = newClient({ policy: parseEgressPolicy('') });
      await expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ class: 'blocked_address' });
      await expect(post(client, 'http://example.com/')).resolves.toMatchObject({ class: 'invalid_url' });
      await expect(post(client, 'https://169.254.169.254/')).resolves.toMatchObject({
        class: 'blocked_address',
      });
    });
  });

  it('never throws for a request that cannot be written', async () => {
    const client = newClient();
    const bad = { url: `${plain}/ok`, headers: { 'x-bad': 'a\r\nb' }, body: Buffer.alloc(0), timeoutMs: 500 };
    await expect(client.send(bad)).resolves.toMatchObject({ kind: 'failed', class: 'internal' });
    await expect(post(client, 'not a url')).resolves.toMatchObject({ kind: 'failed', class: 'invalid_url' });
    await expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ kind: 'response' });
  });
});

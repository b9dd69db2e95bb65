import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type EgressResult, GuardedClient, type GuardedClientOptions, parseEgressPolicy } from './index.js';
import { expired, receiver } from './proving/certificates.js';
import { gzipBomb, HostileServer, oddBytes } from './proving/hostile-server.js';

/**
 * The rows of the network safety table about what a receiver may do to us. A test's name begins with its row. Each one
 * ends with an ordinary request over the same client: the worker goes on.
 */
describe('network safety, receivers', () => {
  const clients: GuardedClient[] = [];
  const servers: HostileServer[] = [];
  let server: HostileServer;
  let plain = '';

  const newClient = (options: Partial<GuardedClientOptions> = {}): GuardedClient => {
    const client = new GuardedClient({ policy: parseEgressPolicy('127.0.0.0/8'), ...options });
    clients.push(client);
    return client;
  };
  /** One that knows receiver.example.com, and trusts what it is shown there. */
  const secureClient = (options: Partial<GuardedClientOptions> = {}): GuardedClient =>
    newClient({
      lookup: async () => ['127.0.0.1'],
      ca: receiver.certificate + '\n' + expired.certificate,
      ...options,
    });
  const post = (
    client: GuardedClient,
    url: string,
    timeoutMs = 5_000,
    body = Buffer.from('{"a":1.10}'),
  ): Promise<EgressResult> => client.send({ url, headers: {}, body, timeoutMs });
  const goesOn = (client: GuardedClient) =>
    expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ kind: 'response', status: 200 });
  const started = async (starting: Promise<HostileServer>): Promise<HostileServer> => {
    const it = await starting;
    servers.push(it);
    return it;
  };

  beforeAll(async () => {
    server = await started(HostileServer.plain());
    plain = `http://127.0.0.1:${server.port}`;
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all(servers.map((it) => it.stop()));
  });

  it.each([
    [43, '/drip-headers', 'timeout'],
    [43, '/hang', 'timeout'],
    [44, '/early-hints', 'timeout'],
    [44, '/continue', 'protocol'],
    [48, '/50k-headers', 'headers_overflow'],
    [48, '/10000-headers', 'headers_overflow'],
    [49, '/garbage', 'protocol'],
    [49, '/http-0.9', 'protocol'],
    [49, '/bare-line-feeds', 'protocol'],
    [49, '/h2-preface', 'protocol'],
    [49, '/length-and-chunked', 'protocol'],
    [49, '/two-lengths', 'protocol'],
    [50, '/upgrade', 'protocol'],
    [51, '/status-099', 'protocol'],
    [53, '/reset', 'connection'],
    [53, '/close', 'connection'],
    [53, '/close-in-headers', 'connection'],
    [59, '/retry-after-100k', 'headers_overflow'],
  ])('%i: %s is a failure of class %s', async (_, path, attemptClass) => {
    const client = newClient();
    const result = await post(client, plain + path, attemptClass === 'timeout' ? 500 : 5_000);
    expect(result).toMatchObject({ kind: 'failed', class: attemptClass });
    expect(result.kind === 'failed' && result.message).not.toContain('127.0.0.1');
    await goesOn(client);
  });

  it.each([
    [42, '/slow-body', 200, 'first', true],
    [45, '/endless-body', 200, 'x'.repeat(16_384), true],
    [45, '/20k', 200, 'y'.repeat(16_384), true],
    [46, '/gzip', 200, 'not inflated', false],
    [47, '/silent-body', 500, 'half', true],
    [47, '/huge-then-close', 200, 'half', true],
    [47, '/closed-body', 200, 'half', true],
    [51, '/status-999', 999, '', false],
    [52, '/204-with-body', 204, '', false],
    [56, '/too-large', 413, '', false],
    [60, '/odd-bytes', 500, oddBytes.toString('latin1'), false],
  ])('%i: the status of %s decides: %i', async (_, path, status, body, bodyTruncated) => {
    const client = newClient();
    const result = await post(client, plain + path, bodyTruncated ? 1_000 : 5_000);
    expect(result).toMatchObject({ kind: 'response', status, bodyTruncated });
    expect(result.kind === 'response' && result.body.subarray(0, body.length).toString('latin1')).toBe(body);
    expect(result.kind === 'response' && result.body.length).toBeLessThanOrEqual(16_384);
    await goesOn(client);
  });

  it.each([301, 302, 303, 307, 308])(
    '41: a redirect (%i) is an answer, and nobody goes there',
    async (status) => {
      const client = newClient();
      const before = server.requests.length;
      await expect(post(client, `${plain}/${status}`)).resolves.toMatchObject({ kind: 'response', status });
      expect(server.requests.length).toBe(before + 1);
      await goesOn(client);
    },
  );

  it('42: a body that goes on is cut after the grace, well before a long deadline', async () => {
    const result = await post(newClient(), `${plain}/slow-body`, 60_000);
    expect(result).toMatchObject({ kind: 'response', status: 200, bodyTruncated: true });
  });

  it.each(['/gzip-bomb', '/brotli-bomb'])('46: %s is kept as it came', async (path) => {
    const client = newClient();
    const result = await post(client, plain + path);
    expect(result).toMatchObject({ kind: 'response', status: 200 });
    if (result.kind === 'response' && path === '/gzip-bomb') {
      expect(result.body.equals(gzipBomb().subarray(0, 16_384))).toBe(true);
    }
    expect(result.kind === 'response' && result.body.length).toBeLessThanOrEqual(16_384);
    await goesOn(client);
  });

  it('52: a smuggled second response is never the answer to the next request', async () => {
    const client = newClient({ maxConnectionsPerOrigin: 1 });
    for (let i = 0; i < 3; i++) {
      const first = await post(client, `${plain}/smuggle`);
      expect(first.kind === 'response' && first.body.toString()).toBe('first');
      const second = await post(client, `${plain}/ok`);
      if (second.kind === 'response') expect(second.body.toString()).toBe('fine');
    }
  });

  it('55: a receiver that reads nothing of a large body is not waited for', async () => {
    const client = newClient();
    const result = await post(client, `${plain}/reads-nothing`, 500, Buffer.alloc(8_000_000));
    expect(result).toMatchObject({ kind: 'failed', class: 'timeout' });
    await goesOn(client);
  });

  it.each<[string, string, string, () => Promise<HostileServer>, Partial<GuardedClientOptions>]>([
    [
      'a certificate nobody vouches for',
      'tls_certificate_untrusted',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      () => HostileServer.tls(),
      { ca: expired.certificate },
    ],
    [
      'an expired certificate',
      'tls_certificate_expired',
      'CERT_HAS_EXPIRED',
      () => HostileServer.tls({ cert: expired.certificate, key: expired.key }),
      {},
    ],
    [
      'TLS 1.1',
      'tls_handshake',
      'ERR_SSL_',
      () => HostileServer.tls({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }),
      {},
    ],
    [
      'plain HTTP',
      'tls_handshake',
      'ERR_SSL_',
      () => HostileServer.plain((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 No\r\n\r\n'))),
      {},
    ],
    [
      'a handshake that never ends',
      'tls_handshake',
      'no answer',
      () => HostileServer.plain((socket) => void socket.resume()),
      { connectTimeoutMs: 300 },
    ],
    [
      'a reset in the handshake',
      'tls_handshake',
      'ECONNRESET',
      () => HostileServer.plain((socket) => socket.once('data', () => socket.resetAndDestroy())),
      {},
    ],
  ])('57: %s is a failure of class %s (%s)', async (_, attemptClass, code, starting, options) => {
    const tried = await started(starting());
    const client = secureClient(options);
    const result = await post(client, `https://receiver.example.com:${tried.port}/ok`);
    expect(result).toMatchObject({ kind: 'failed', class: attemptClass });
    expect(result.kind === 'failed' && result.message).toContain(code);
    await tried.whenDisconnected();
    await goesOn(client);
  });

  it("57: another name's certificate is a failure of class tls_name_mismatch", async () => {
    const { port } = await started(HostileServer.tls());
    const client = secureClient();
    const result = await post(client, `https://other.example.com:${port}/ok`);
    expect(result).toMatchObject({ kind: 'failed', class: 'tls_name_mismatch' });
    await goesOn(client);
  });

  it('58: a kept connection closed just as it is used fails, and the request is sent once', async () => {
    let requests = 0;
    const closing = await started(
      HostileServer.plain((socket: Socket) => {
        socket.on('data', () => {
          requests++;
          if (requests === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
          else socket.resetAndDestroy();
        });
      }),
    );
    const client = newClient();
    const url = `http://127.0.0.1:${closing.port}/`;
    await expect(post(client, url)).resolves.toMatchObject({ kind: 'response', status: 200 });
    const second = await post(client, url);
    expect(second).toMatchObject({ kind: 'failed', class: 'connection', timings: { connectMs: 0 } });
    expect(requests).toBe(2);
    await goesOn(client);
  });

  it('61: odd headers are plain data', async () => {
    const client = newClient();
    const cookies = await post(client, `${plain}/1000-cookies`);
    expect(cookies.kind === 'response' && cookies.headers['set-cookie']).toHaveLength(700);
    const result = await post(client, `${plain}/proto`);
    expect(result.kind === 'response' && result.headers).toMatchObject({
      constructor: 'b',
      'set-cookie': ['a=1', 'b=2'],
    });
    expect(({} as Record<string, unknown>).a).toBeUndefined();
    await goesOn(client);
    expect(server.requests.at(-1)).not.toContain('cookie');
  });

  it('65: connections made under one policy serve no other', async () => {
    await goesOn(newClient());
    const strict = newClient({ policy: parseEgressPolicy('10.0.0.0/8') });
    await expect(post(strict, `${plain}/ok`)).resolves.toMatchObject({ class: 'blocked_address' });
  });

  it('66: a thousand requests to one slow host open a bounded number of connections, others go past', async () => {
    let open = 0;
    const slow = await started(
      HostileServer.plain((socket) => {
        open++;
        const answer = () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        socket.on('data', () => setTimeout(answer, 5));
      }),
    );
    const client = newClient({ maxConnectionsPerOrigin: 10 });
    let isOver = false;
    const waiting = Promise.all(
      Array.from({ length: 1_000 }, (_, at) => post(client, `http://127.0.0.1:${slow.port}/${at}`, 10_000)),
    ).finally(() => (isOver = true));
    await goesOn(client);
    expect(isOver).toBe(false);
    const results = await waiting;
    expect(results.filter((result) => result.kind === 'response')).toHaveLength(1_000);
    expect(open).toBe(10);
  });
});

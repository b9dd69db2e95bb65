import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type EgressResult, GuardedClient, type GuardedClientOptions, parseEgressPolicy } from './index.js';
import { receiver, shopA, shopB } from './proving/certificates.js';
import { HostileServer } from './proving/hostile-server.js';

describe('the guarded client', () => {
  const clients: GuardedClient[] = [];
  const servers: HostileServer[] = [];
  let server: HostileServer;
  let tlsServer: HostileServer;
  let plain = '';

  const newClient = (options: Partial<GuardedClientOptions> = {}): GuardedClient => {
    const client = new GuardedClient({ policy: parseEgressPolicy('127.0.0.0/8'), ...options });
    clients.push(client);
    return client;
  };
  /** A server that asks for a client's certificate. */
  const closedServer = async (...options: Parameters<typeof HostileServer.tls>): Promise<HostileServer> => {
    const started = await HostileServer.tls(...options);
    servers.push(started);
    return started;
  };
  const post = (
    client: GuardedClient,
    url: string,
    timeoutMs = 5_000,
    body = Buffer.from('{"a":1.10}'),
  ): Promise<EgressResult> => client.send({ url, headers: { 'x-test': 'café' }, body, timeoutMs });

  beforeAll(async () => {
    server = await HostileServer.plain();
    tlsServer = await HostileServer.tls();
    plain = `http://127.0.0.1:${server.port}`;
  });
  beforeEach(() => {
    server.connections = tlsServer.connections = 0;
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all([server, tlsServer, ...servers].map((started) => started.stop()));
  });

  it('posts the bytes and returns what came back', async () => {
    const result = await post(newClient(), `${plain}/ok`);
    expect(result).toMatchObject({ kind: 'response', status: 200, bodyTruncated: false });
    expect(result.address).toBe(plain.replace('http://', ''));
    expect(result.kind === 'response' && result.body.toString()).toBe('fine');
    // As Latin-1, one byte for each character.
    expect(server.requests.at(-1)).toMatch(
      /^POST \/ok HTTP\/1\.1\r\n[^]*x-test: café\r\n[^]*\r\n\r\n\{"a":1\.10\}$/,
    );
  });

  it('keeps a connection for the next request, and opens no more than allowed', async () => {
    const client = newClient({ maxConnectionsPerOrigin: 2 });
    const first = await post(client, `${plain}/ok`);
    const second = await post(client, `${plain}/ok`);
    expect(first.timings.connectMs).toBeGreaterThan(0);
    expect(second.timings.connectMs).toBe(0);
    expect(server.connections).toBe(1);
    const many = await Promise.all(Array.from({ length: 20 }, () => post(client, `${plain}/ok`)));
    expect(many.map((result) => result.kind)).toEqual(Array(20).fill('response'));
    expect(server.connections).toBe(2);
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
    ['/length-and-chunked', 'protocol'],
    ['/http-0.9', 'protocol'],
    ['/h2-preface', 'protocol'],
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
    ['/204-with-body', 204, '', false],
    ['/status-999', 999, '', false],
    ['/too-large', 413, '', false],
    ['/gzip', 200, 'not inflated', false],
  ])('lets the status of %s decide: %i', async (path, status, body, bodyTruncated) => {
    const client = newClient();
    const result = await post(client, plain + path, 400);
    expect(result).toMatchObject({ kind: 'response', status, bodyTruncated });
    expect(result.kind === 'response' && result.body.subarray(0, body.length).toString()).toBe(body);
    expect(result.kind === 'response' && result.body.length).toBeLessThanOrEqual(16_384);
    await expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ kind: 'response', status: 200 });
  });

  it('does not wait for a receiver that reads nothing', async () => {
    const client = newClient();
    const result = await post(client, `${plain}/reads-nothing`, 500, Buffer.alloc(8_000_000));
    expect(result).toMatchObject({ kind: 'failed', class: 'timeout' });
    await expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ kind: 'response', status: 200 });
  });

  it('connects anew when the receiver has closed the connection it kept', async () => {
    const closing = await HostileServer.plain();
    const client = newClient();
    const url = `http://127.0.0.1:${closing.port}`;
    await expect(post(client, `${url}/ok-then-close`)).resolves.toMatchObject({ status: 200 });
    await closing.whenDisconnected();
    const next = await post(client, `${url}/ok`);
    expect(next).toMatchObject({ kind: 'response', status: 200 });
    expect(next.timings.connectMs).toBeGreaterThan(0);
    await closing.stop();
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

  it('keeps odd headers as plain data', async () => {
    const cookies = await post(newClient(), `${plain}/1000-cookies`);
    expect(cookies.kind === 'response' && cookies.headers['set-cookie']).toHaveLength(700);
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
    const unused = await HostileServer.plain();
    const { port } = unused;
    await unused.stop();
    const result = await post(newClient(), `http://127.0.0.1:${port}/`);
    expect(result).toMatchObject({ kind: 'failed', class: 'connection' });
    expect(result.kind === 'failed' && result.message).toContain('ECONNREFUSED');
  });

  it('gives up a connection that is not established in time, and says what it waited for', async () => {
    const never = newClient({ lookup: () => new Promise(() => undefined), connectTimeoutMs: 300 });
    await expect(post(never, 'https://receiver.example.com/')).resolves.toMatchObject({ class: 'dns' });
    const silent = await HostileServer.plain(() => undefined);
    const handshake = newClient({ connectTimeoutMs: 300 });
    await expect(post(handshake, `https://127.0.0.1:${silent.port}/`)).resolves.toMatchObject({
      class: 'tls_handshake',
    });
    await silent.stop();
    const deadline = newClient({ lookup: () => new Promise(() => undefined) });
    await expect(post(deadline, 'https://receiver.example.com/', 50)).resolves.toMatchObject({
      class: 'dns',
    });
  });

  describe('reaches only allowed addresses:', () => {
    const url = () => `https://receiver.example.com:${tlsServer.port}/ok`;
    const named = (addresses: string[], allow = '127.0.0.0/8') =>
      newClient({
        lookup: async () => addresses,
        policy: parseEgressPolicy(allow),
        ca: receiver.certificate,
      });

    it('a name that resolves to one is called there, and its certificate checked', async () => {
      await expect(post(named(['127.0.0.1']), url())).resolves.toMatchObject({
        kind: 'response',
        address: `127.0.0.1:${tlsServer.port}`,
      });
      const untrusting = newClient({ lookup: async () => ['127.0.0.1'] });
      const result = await post(untrusting, url());
      expect(result).toMatchObject({ kind: 'failed', class: 'tls_certificate_untrusted' });
      expect(result.kind === 'failed' && result.message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
      const other = url().replace('receiver', 'other');
      await expect(post(named(['127.0.0.1']), other)).resolves.toMatchObject({ class: 'tls_name_mismatch' });
      const host = `host: receiver.example.com:${tlsServer.port}\r\n`;
      expect(tlsServer.requests.every((request) => request.includes(host))).toBe(true);
      expect(tlsServer.requests.length).toBeGreaterThan(0);
    });

    it('a server that speaks no TLS, or only an old one, is a failure of tls', async () => {
      const speaksHttp = await HostileServer.plain((socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 400 No\r\n\r\n')),
      );
      const old = await HostileServer.tls({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' });
      for (const { port } of [speaksHttp, old]) {
        const other = `https://receiver.example.com:${port}/ok`;
        await expect(post(named(['127.0.0.1']), other)).resolves.toMatchObject({ class: 'tls_handshake' });
      }
      await Promise.all([speaksHttp.stop(), old.stop()]);
    });

    it('a literal counts in whatever form it is written', async () => {
      const forms = ['2130706433', '0x7f000001', '0177.0.0.1', '127.1', '%31%32%37.0.0.1'];
      for (const form of forms) {
        const other = `http://${form}:${server.port}/ok`;
        await expect(post(newClient(), other)).resolves.toMatchObject({ kind: 'response', status: 200 });
        const strict = newClient({ policy: parseEgressPolicy('') });
        await expect(post(strict, other)).resolves.toMatchObject({ class: 'blocked_address' });
      }
      expect(server.connections).toBe(forms.length);
    });

    it('one that another policy allows is not reached over its connections', async () => {
      await expect(post(newClient(), `${plain}/ok`)).resolves.toMatchObject({ kind: 'response' });
      const strict = newClient({ policy: parseEgressPolicy('10.0.0.0/8') });
      await expect(post(strict, `${plain}/ok`)).resolves.toMatchObject({ class: 'blocked_address' });
    });

    it.each([
      ['a private address', ['127.0.0.1'], ''],
      ['a public and a private one', ['127.0.0.1', '10.0.0.1'], '127.0.0.0/8'],
      ['a mapped metadata address', ['127.0.0.1', '::ffff:169.254.169.254'], '127.0.0.0/8'],
      ['something that is no address', ['127.0.0.1', 'localhost'], '127.0.0.0/8'],
    ])('a name that resolves to %s is not called', async (_, addresses, allow) => {
      await expect(post(named(addresses, allow), url())).resolves.toMatchObject({
        kind: 'failed',
        class: 'blocked_address',
      });
      expect(tlsServer.connections).toBe(0);
    });

    it('a name that changes its address is judged anew at the next connection', async () => {
      let addresses = ['127.0.0.1'];
      const client = newClient({ lookup: async () => addresses, ca: receiver.certificate, maxOrigins: 1 });
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

  it('makes other requests too', async () => {
    const client = newClient();
    const request = { url: `${plain}/20k`, method: 'GET' as const, headers: { accept: 'application/json' } };
    const result = await client.send({ ...request, timeoutMs: 5_000, keptBodyBytes: 64 * 1024 });
    expect(result).toMatchObject({ kind: 'response', status: 200, bodyTruncated: false });
    expect(result.kind === 'response' && result.body.length).toBe(20_000);
    expect(server.requests.at(-1)).toMatch(/^GET \/20k HTTP\/1\.1\r\n[^]*\r\n\r\n$/);
    expect(server.requests.at(-1)).not.toContain('content-length');
  });

  it('shows a client certificate on its own connections, whose facts stay with them', async () => {
    const shown: (string | undefined)[] = [];
    const closed = await closedServer(
      {
        requestCert: true,
        rejectUnauthorized: false,
        ca: [shopA.certificate, shopB.certificate],
      },
      (socket) => shown.push(socket.authorized ? String(socket.getPeerCertificate().subject.CN) : undefined),
    );
    const url = `https://receiver.example.com:${closed.port}/ok`;
    const client = newClient({ lookup: async () => ['127.0.0.1'], ca: receiver.certificate });
    const as = (name: string, { certificate: chain, key } = shopA) =>
      client.send({ url, headers: {}, timeoutMs: 5_000, certificate: { id: name, chain, key } });
    const results = [
      await as('a'),
      await as('a'),
      await post(client, url),
      await as('b', shopB),
      await post(client, url),
      await as('a'),
    ];
    expect(results.map((result) => result.kind)).toEqual(Array(6).fill('response'));
    expect(shown).toEqual(['shop-a.example.com', undefined, 'shop-b.example.com']);
    const tls = { version: 'TLSv1.3', certificate: 'receiver.example.com' };
    expect(results.map((result) => result.tls)).toEqual(Array(6).fill(tls));
    expect(results.map(({ timings }) => 'tlsMs' in timings)).toEqual([true, false, true, true, false, false]);
  });

  it('says that a server did not accept the certificate, or that there was none', async () => {
    const closed = await closedServer({ requestCert: true, ca: [shopB.certificate] });
    const url = `https://receiver.example.com:${closed.port}/ok`;
    const client = newClient({ lookup: async () => ['127.0.0.1'], ca: receiver.certificate });
    // TLS 1.3: the server judges after the handshake is over for us, by an alert or by hanging up.
    const classes: unknown[] = [];
    const wrong = { id: 'a', chain: shopA.certificate, key: shopA.key };
    const broken = { id: 'x', chain: 'no certificate', key: shopA.key };
    for (const certificate of [undefined, wrong, broken]) {
      const result = await client.send({ url, headers: {}, timeoutMs: 5_000, certificate });
      classes.push(result.kind === 'failed' && result.class);
    }
    const refused = expect.stringMatching(/^(connection|tls_handshake)$/);
    expect(classes).toEqual([refused, refused, 'tls_handshake']);
    const right = { id: 'b', chain: shopB.certificate, key: shopB.key };
    await expect(
      client.send({ url, headers: {}, timeoutMs: 5_000, certificate: right }),
    ).resolves.toMatchObject({ kind: 'response', status: 200 });
  });

  it('never throws for a request that cannot be written', async () => {
    const client = newClient();
    const bad = { url: `${plain}/ok`, headers: { 'x-bad': 'a\r\nb' }, body: Buffer.alloc(0), timeoutMs: 500 };
    await expect(client.send(bad)).resolves.toMatchObject({ kind: 'failed', class: 'internal' });
    await expect(post(client, 'not a url')).resolves.toMatchObject({ kind: 'failed', class: 'invalid_url' });
    await expect(post(client, `${plain}/ok`)).resolves.toMatchObject({ kind: 'response' });
  });
});

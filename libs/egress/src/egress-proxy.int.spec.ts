import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type EgressResult,
  GuardedClient,
  type GuardedClientOptions,
  parseEgressPolicy,
  parseEgressProxy,
} from './index.js';
import { receiver } from './proving/certificates.js';
import { ConnectProxy } from './proving/connect-proxy.js';
import { HostileServer } from './proving/hostile-server.js';

/** The proxy leads every address to loopback, so that public ones can be called. */
describe('through an egress proxy', () => {
  const PUBLIC = '93.184.215.14';
  const clients: GuardedClient[] = [];
  let plain: HostileServer;
  let secure: HostileServer;
  let proxy: ConnectProxy;
  let onward = 0;

  beforeAll(async () => {
    [plain, secure] = await Promise.all([HostileServer.plain(), HostileServer.tls()]);
    proxy = await ConnectProxy.start(() => onward);
  });
  beforeEach(() => {
    proxy.asked.length = 0;
    proxy.answer = 200;
    onward = secure.port;
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all([plain, secure, proxy].map((started) => started.stop()));
  });

  function post(
    url: string,
    own: Partial<GuardedClientOptions> & { addresses?: string[]; timeoutMs?: number } = {},
  ): Promise<EgressResult> {
    const client = new GuardedClient({
      policy: parseEgressPolicy(''),
      lookup: async () => own.addresses ?? [PUBLIC],
      ca: receiver.certificate,
      proxy: parseEgressProxy(`http://us:p%40ss@127.0.0.1:${proxy.port}`),
      ...own,
    });
    clients.push(client);
    return client.send({ url, headers: {}, body: Buffer.from('{}'), timeoutMs: own.timeoutMs ?? 5_000 });
  }

  it('goes to the address that was checked, with TLS for the name', async () => {
    const result = await post('https://receiver.example.com/ok');
    expect(result).toMatchObject({
      kind: 'response',
      status: 200,
      address: `${PUBLIC}:443`,
      tls: { version: 'TLSv1.3', certificate: 'receiver.example.com' },
    });
    const authorization = `Basic ${Buffer.from('us:p@ss').toString('base64')}`;
    expect(proxy.asked).toEqual([{ authority: `${PUBLIC}:443`, authorization }]);
    expect(secure.requests.at(-1)).toContain('host: receiver.example.com\r\n');
    expect(secure.requests.at(-1)).not.toContain('proxy-');
    await expect(post('https://other.example.com/ok')).resolves.toMatchObject({ class: 'tls_name_mismatch' });
  });

  it('carries plain http too, where it is allowed', async () => {
    onward = plain.port;
    const policy = parseEgressPolicy(PUBLIC);
    const result = await post(`http://${PUBLIC}:8080/ok`, { policy });
    expect(result).toMatchObject({ kind: 'response', status: 200, address: `${PUBLIC}:8080` });
    expect(proxy.asked.map(({ authority }) => authority)).toEqual([`${PUBLIC}:8080`]);
  });

  it('asks for nothing that is forbidden', async () => {
    for (const addresses of [['10.0.0.5'], [PUBLIC, '169.254.169.254'], ['::ffff:127.0.0.1']]) {
      const result = await post('https://receiver.example.com/ok', { addresses });
      expect(result).toMatchObject({ class: 'blocked_address' });
    }
    await expect(post('https://127.0.0.1/ok')).resolves.toMatchObject({ class: 'blocked_address' });
    expect(proxy.asked).toEqual([]);
  });

  it('tries the next address when the proxy cannot reach one', async () => {
    proxy.answers[`${PUBLIC}:443`] = 502;
    const result = await post('https://receiver.example.com/ok', { addresses: [PUBLIC, '2606:4700::1111'] });
    delete proxy.answers[`${PUBLIC}:443`];
    expect(result).toMatchObject({ kind: 'response', address: '[2606:4700::1111]:443' });
    expect(proxy.asked.map(({ authority }) => authority)).toEqual([`${PUBLIC}:443`, '[2606:4700::1111]:443']);
  });

  it.each([
    [403, '403'],
    [407, '407'],
    [502, '502'],
    [-1, 'ECONNRESET'],
    [0, 'no answer'],
  ])(
    'calls an answer of %i a failure of the proxy (%s), which says nothing of addresses',
    async (answer, code) => {
      proxy.answer = answer;
      const result = await post('https://receiver.example.com/ok', { connectTimeoutMs: 500 });
      expect(result).toMatchObject({ kind: 'failed', class: 'proxy' });
      expect(result.kind === 'failed' && result.message).toContain(code);
      expect(result.kind === 'failed' && result.message).not.toMatch(/127\.0|93\.184|p@ss/);
    },
  );

  it('is a failure of the proxy when it is away, or the time is up while it thinks', async () => {
    const gone = await ConnectProxy.start(() => 0);
    const { port } = gone;
    await gone.stop();
    const away = parseEgressProxy(`http://127.0.0.1:${port}`);
    await expect(post('https://receiver.example.com/ok', { proxy: away })).resolves.toMatchObject({
      class: 'proxy',
    });
    proxy.answer = 0;
    await expect(post('https://receiver.example.com/ok', { timeoutMs: 300 })).resolves.toMatchObject({
      class: 'proxy',
    });
  });

  it.each(['https://a:1', 'http://a/path', 'a:3128', 'http://', 'socks5://a', 'http://a/?x', ''])(
    '%j is none, and is not repeated',
    (text) => {
      expect(() => parseEgressProxy(text)).toThrow(/^not an egress proxy: http:/);
    },
  );
});

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type GuardedStream, GuardedClient, type OpenedStream, parseEgressPolicy } from './index.js';
import { receiver } from './proving/certificates.js';
import { HostileServer } from './proving/hostile-server.js';

const LIMITS = { headersTimeoutMs: 5_000, idleMs: 5_000 };

/** Answers with a head and leaves the rest to the test. */
class LastingServer {
  readonly responses: ServerResponse[] = [];
  readonly requests: IncomingMessage[] = [];
  private waiting: (() => void)[] = [];
  private readonly server: Server = createServer((request, response) => {
    this.requests.push(request);
    this.responses.push(response);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    for (const tell of this.waiting.splice(0)) tell();
  });

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/stream?a=1`;
  }
  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

describe('a guarded stream', () => {
  const client = new GuardedClient({ policy: parseEgressPolicy('127.0.0.0/8') });
  const strict = new GuardedClient({ policy: parseEgressPolicy('') });
  const streams: GuardedStream[] = [];
  let server: LastingServer;
  let hostile: HostileServer;

  beforeAll(async () => {
    server = await new LastingServer().listen();
    hostile = await HostileServer.plain();
  });
  afterEach(() => {
    for (const stream of streams.splice(0)) stream.close();
  });
  afterAll(async () => {
    client.close();
    await Promise.all([server.stop(), hostile.stop()]);
  });

  const open = async (url = server.url, more: object = {}): Promise<OpenedStream> => {
    const opened = await client.open({ url, headers: { accept: 'text/event-stream' }, ...LIMITS, ...more });
    if (opened.kind === 'open') streams.push(opened.stream);
    return opened;
  };
  const opened = async (url = server.url, more: object = {}): Promise<GuardedStream> => {
    const result = await open(url, more);
    if (result.kind !== 'open') throw new Error(JSON.stringify(result));
    return result.stream;
  };
  const last = (): ServerResponse => server.responses.at(-1) as ServerResponse;

  it('gives each piece as it comes, and says when the server has ended it', async () => {
    const stream = await opened();
    expect([stream.status, stream.headers['content-type']]).toEqual([200, 'text/event-stream']);
    expect(server.requests.at(-1)).toMatchObject({ method: 'GET', url: '/stream?a=1' });
    const first = stream.read();
    last().write('data: 1\n\n');
    expect(await first).toEqual({ kind: 'bytes', bytes: Buffer.from('data: 1\n\n') });
    last().end('data: 2\n\n');
    expect(await stream.read()).toEqual({ kind: 'bytes', bytes: Buffer.from('data: 2\n\n') });
    expect(await stream.read()).toEqual({ kind: 'ended' });
    expect(await stream.read()).toEqual({ kind: 'ended' });
  });

  it('does not read what nobody asks for', async () => {
    const stream = await opened();
    const response = last();
    const piece = Buffer.alloc(64 * 1024, 'x');
    const drained = new Promise((resolve) => response.on('drain', () => resolve('drained')));
    let written = 0;
    // The kernel's buffers fill up long before this.
    while (written < 64 * 1024 * 1024 && response.writableLength < 32 * 1024 * 1024) {
      response.write(piece);
      written += piece.length;
    }
    expect((await stream.read()).kind).toBe('bytes');
    expect(response.writableLength).toBeGreaterThan(0);
    let bytes = 0;
    while (bytes < 60 * 1024 * 1024 && response.writableLength > 0) {
      const read = await stream.read();
      if (read.kind !== 'bytes') throw new Error(read.kind);
      bytes += read.bytes.length;
    }
    expect(await drained).toBe('drained');
  });

  it('reaches no address that is not allowed, nor a URL that breaks the rules', async () => {
    const before = server.requests.length;
    for (const [url, failed] of [
      [server.url.replace('http:', 'https:'), 'blocked_address'],
      ['https://10.0.0.1/', 'blocked_address'],
      ['https://metadata.example.com/', 'blocked_address'],
      [server.url.replace('127.0.0.1', 'example.com'), 'invalid_url'],
      ['not a url', 'invalid_url'],
    ] as const) {
      const guarded = new GuardedClient({
        policy: parseEgressPolicy(''),
        lookup: async () => ['169.254.169.254'],
      });
      expect(await guarded.open({ url, headers: {}, ...LIMITS })).toMatchObject({
        kind: 'failed',
        class: failed,
      });
    }
    expect(await strict.open({ url: server.url, headers: {}, ...LIMITS })).toMatchObject({ kind: 'failed' });
    expect(server.requests.length).toBe(before);
  });

  it('follows no redirect', async () => {
    const connections = hostile.connections;
    const stream = await opened(`http://127.0.0.1:${hostile.port}/307`);
    expect(stream.status).toBe(307);
    expect(hostile.connections).toBe(connections + 1);
    expect(hostile.requests.at(-1)).toMatch(/^GET \/307 /);
  });

  it.each([
    ['hang', 'timeout'],
    ['drip-headers', 'timeout'],
    ['early-hints', 'timeout'],
    ['reads-nothing', 'timeout'],
    ['garbage', 'protocol'],
    ['50k-headers', 'headers_overflow'],
    ['close', 'connection'],
    ['reset', 'connection'],
    ['upgrade', 'protocol'],
  ])('fails with a value at a server that does %s instead of sending headers', async (path, failed) => {
    const url = `http://127.0.0.1:${hostile.port}/${path}`;
    expect(await open(url, { headersTimeoutMs: 300 })).toMatchObject({ kind: 'failed', class: failed });
  });

  it('says that TLS did not work, and verifies as a delivery does', async () => {
    const secured = await HostileServer.tls();
    const url = `https://receiver.example.com:${secured.port}/silent-body`;
    const options = { policy: parseEgressPolicy('127.0.0.0/8'), lookup: async () => ['127.0.0.1'] };
    const untrusting = await new GuardedClient(options).open({ url, headers: {}, ...LIMITS });
    expect(untrusting).toMatchObject({ kind: 'failed', class: 'tls_certificate_untrusted' });
    const trusting = await new GuardedClient({ ...options, ca: receiver.certificate }).open({
      url,
      headers: {},
      ...LIMITS,
    });
    if (trusting.kind !== 'open') throw new Error(trusting.kind);
    streams.push(trusting.stream);
    expect(await trusting.stream.read()).toEqual({ kind: 'bytes', bytes: Buffer.from('half') });
    trusting.stream.close();
    await secured.stop();
  });

  it('gives up a stream that is silent for too long, but not one that only nobody reads', async () => {
    const stream = await opened(server.url, { idleMs: 200 });
    last().write(': still here\n\n');
    expect((await stream.read()).kind).toBe('bytes');
    expect(await stream.read()).toMatchObject({ kind: 'failed', class: 'timeout' });
  });

  it('tells a stream that broke from one that ended', async () => {
    const stream = await opened();
    const reading = stream.read();
    last().destroy();
    expect(await reading).toMatchObject({ kind: 'failed', class: 'connection' });
  });

  it('is ended by its signal before, while and after it is opened, and by close', async () => {
    const hangs = `http://127.0.0.1:${hostile.port}/hang`;
    const abort = new AbortController();
    const [opening, late] = [
      open(hangs, { signal: abort.signal }),
      await opened(server.url, { signal: abort.signal }),
    ];
    const reading = late.read();
    abort.abort();
    expect(await Promise.all([opening, reading])).toEqual([{ kind: 'closed' }, { kind: 'closed' }]);
    expect(await open(server.url, { signal: abort.signal })).toEqual({ kind: 'closed' });
    const stream = await opened();
    const gone = new Promise((resolve) => last().on('close', () => resolve('gone')));
    stream.close();
    expect(await stream.read()).toEqual({ kind: 'closed' });
    expect(await gone).toBe('gone');
  });

  it('shares no connection, so that streams never wait for each other', async () => {
    const narrow = new GuardedClient({
      policy: parseEgressPolicy('127.0.0.0/8'),
      maxConnectionsPerOrigin: 1,
    });
    const results = await Promise.all(
      [1, 2, 3].map(() => narrow.open({ url: server.url, headers: {}, ...LIMITS })),
    );
    for (const result of results) if (result.kind === 'open') streams.push(result.stream);
    expect(results.map(({ kind }) => kind)).toEqual(['open', 'open', 'open']);
    narrow.close();
  });
});

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from '@jest/globals';
import { TailWatch } from './tail-watch.js';

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** Streams, in the order they were asked for; each begins with what is no attempt. */
async function serveStreams(): Promise<{ url: string; streams: ServerResponse[] }> {
  const streams: ServerResponse[] = [];
  server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 1000\n\n: keepalive\n\nid: 1.0\nevent: position\ndata: {}\n\n');
    streams.push(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/tail`, streams };
}

const LATE_MS = 60_000;
const frameOf = (id: string): string => {
  const started_at = new Date(Date.now() - LATE_MS).toISOString();
  const attempt = {
    id,
    started_at,
    duration_ms: 1.5,
    response: { body: '{"id":"other"}' },
    delivery_id: 'del_1',
  };
  return `id: 1.1\nevent: message\ndata: ${JSON.stringify(attempt)}\n\n`;
};

it('of those who follow the same attempts, what each lacks and what it got again is counted, and how late it came', async () => {
  const { url, streams } = await serveStreams();
  const watch = await TailWatch.open({ url, headers: {}, clients: 3 });
  const [all, again, other] = streams as [ServerResponse, ServerResponse, ServerResponse];
  const [a, b] = [frameOf('att_a'), frameOf('att_b')];
  const ended = watch.end({ expected: 2, patienceMs: 600_000 });
  all.end(a + b);
  other.end(b);
  // Three times, in pieces that are no frames.
  for (const piece of [a.slice(0, 30), a.slice(30) + a + a.slice(0, 90), a.slice(90)]) {
    await new Promise<void>((resolve) => again.write(piece, () => resolve()));
  }
  again.end();
  // All streams have: nothing is waited for then.
  const report = await ended;
  expect(report).toMatchObject({ events: 6, missing: 2, repeated: 2, ended: 3 });
  expect(report.lagMs.count).toBe(6);
  expect(report.lagMs.p50).toBeGreaterThanOrEqual(LATE_MS - 2);
});

it('ends as soon as each has everything, however often; what nobody gets is missing for each', async () => {
  const { url, streams } = await serveStreams();
  const all = await TailWatch.open({ url, headers: {}, clients: 2 });
  const [one, other] = streams as [ServerResponse, ServerResponse];
  const ended = all.end({ expected: 2, patienceMs: 600_000 });
  const [a, b] = [frameOf('att_a'), frameOf('att_b')];
  await new Promise<void>((resolve) => one.write(a + a + a + b, () => resolve()));
  other.write(a + b);
  expect(await ended).toMatchObject({ missing: 0, ended: 0 });

  const none = await TailWatch.open({ url, headers: {}, clients: 2 });
  for (const stream of streams.slice(2)) stream.end();
  expect(await none.end({ expected: 3, patienceMs: 600_000 })).toMatchObject({ events: 0, missing: 6 });
});

it('a stream that is refused is no stream', async () => {
  server = createServer((_, response) => response.writeHead(429).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await expect(TailWatch.open({ url, headers: {}, clients: 1 })).rejects.toThrow('429');
});

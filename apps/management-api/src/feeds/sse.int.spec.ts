import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { StreamClient, waitFor } from '@posthaste/test-kit';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { eventFrame, type EventStream, serveEventStreams, startEventStream } from './sse.js';

let fastify: FastifyInstance;
let url: string;
let answer: (reply: FastifyReply) => unknown;

beforeEach(async () => {
  fastify = Fastify();
  serveEventStreams(fastify, 3);
  fastify.get('/', async (_, reply) => void (await answer(reply)));
  await fastify.listen({ port: 0, host: '127.0.0.1' });
  url = `http://127.0.0.1:${(fastify.server.address() as AddressInfo).port}/`;
});
afterEach(() => fastify.close());

describe('a stream of events', () => {
  it('begins with what it was given, and shows that it is alive while there is nothing else', async () => {
    answer = (reply) =>
      startEventStream(reply, { retryMs: 1_500, keepAliveMs: 5, first: { event: 'connected', data: '{}' } });
    const client = await StreamClient.open(url, {});
    await waitFor(() => client.comments.length >= 3);
    expect(client.events).toMatchObject([{ event: 'connected', data: '{}' }]);
    expect(client.comments[0]).toBe('keepalive');
    client.close();
  });

  it('says when the client has enough and when it can take more, and that it has left', async () => {
    let stream: EventStream | undefined;
    let closed = 0;
    answer = (reply) => {
      stream = startEventStream(reply);
      stream.onClosed(() => closed++);
    };
    const client = await StreamClient.open(url, {});
    client.pause();
    const frame = eventFrame({ event: 'big', data: 'x'.repeat(100_000) });
    let sent = 0;
    let room: Promise<void> | undefined;
    // 100 MB: more than sockets hold.
    for (; room === undefined && sent < 1_000; sent++) {
      room = stream?.send(frame);
      await new Promise(setImmediate);
    }
    expect(sent).toBeLessThan(1_000);
    client.resume();
    await room;
    await waitFor(() => client.events.length === sent);

    client.close();
    await waitFor(() => closed > 0);
    expect(stream?.send(frame)).toBeUndefined();
    expect(closed).toBe(1);
  });

  it('is over at once for a client that left before it was answered', async () => {
    let over = false;
    answer = async (reply) => {
      request.destroy();
      await new Promise((resolve) => reply.raw.once('close', resolve));
      startEventStream(reply).onClosed(() => (over = true));
    };
    const request = http.get(url).on('error', () => undefined);
    await waitFor(() => over);
  });

  it('ends when its server stops, though the client would go on', async () => {
    answer = (reply) => startEventStream(reply);
    const clients = await Promise.all([StreamClient.open(url, {}), StreamClient.open(url, {})]);
    await fastify.close();
    await Promise.all(clients.map(({ ended }) => ended));
    for (const { comments } of clients) expect(comments).toEqual(['stopping']);
  });
});

it('a tenant has so many streams at a time, and a place again when one has left', async () => {
  answer = (reply) => startEventStream(reply);
  const clients = [];
  for (let i = 0; i < 3; i++) clients.push(await StreamClient.open(url, {}));
  const refused = await fetch(url);
  expect(refused.status).toBe(429);
  await refused.body?.cancel();
  clients.pop()?.close();
  await waitFor(async () => {
    const again = await fetch(url);
    await again.body?.cancel();
    return again.status === 200;
  });
  for (const client of clients) client.close();
});

describe('a frame', () => {
  const read = (frame: Buffer): EventSourceMessage[] => {
    const events: EventSourceMessage[] = [];
    createParser({ onEvent: (event) => events.push(event) }).feed(frame.toString());
    return events;
  };

  it('carries any text, whose line ends become what the format knows', () => {
    const frame = eventFrame({ event: 'message', id: 7, data: '{"a":\r\n "é"\n\n}\r' });
    expect(read(frame)).toEqual([{ event: 'message', id: '7', data: '{"a":\n "é"\n\n}\n' }]);
    const data = 'data: x: y';
    expect(read(eventFrame({ event: 'e', data }))).toMatchObject([{ event: 'e', data }]);
    expect(read(eventFrame({ event: 'e', data: Buffer.from('ü') }))).toMatchObject([{ data: 'ü' }]);
  });
});

import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger } from '@posthaste/runtime';
import type { FastifyInstance } from 'fastify';
import { sendProblem } from './problem-filter.js';
import { createAdapter, prepareServer } from './server.js';

// What is answered on the socket, because no handler of a route ever hears of it: each API's callers get their own words.

let fastify: FastifyInstance;

beforeEach(async () => {
  fastify = createAdapter().getInstance<FastifyInstance>();
  prepareServer(fastify, createLogger('management-api', 'silent').logger);
  // As Nest's filter does.
  fastify.setErrorHandler((error, request, reply) => sendProblem(reply, request, error));
  for (const url of ['/v1/accounts', '/v1/webhooks', '/v2/webhooks', '/api/v2/webhooks']) {
    fastify.post(url, () => ({}));
  }
  // As soon as it can be: half a minute says no more.
  Object.assign(fastify.server, {
    requestTimeout: 100,
    headersTimeout: 100,
    connectionsCheckingInterval: 20,
  });
  await fastify.listen({ port: 0, host: '127.0.0.1' });
});
afterEach(() => fastify.close());

async function answerTo(...pieces: string[]): Promise<[status: number, type: string, body: unknown]> {
  const { port } = fastify.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  for (const piece of pieces) {
    const before = text.length;
    socket.write(piece);
    if (piece !== pieces.at(-1)) while (text.length === before) await once(socket, 'data');
  }
  await once(socket, 'close');
  const last = text.slice(text.lastIndexOf('HTTP/1.1'));
  const [head = '', body = ''] = last.split('\r\n\r\n');
  const type = /^content-type: ([^\s;]+)/im.exec(head)?.[1] ?? '';
  return [Number(head.split(' ')[1]), type, JSON.parse(body)];
}

const post = (path: string, rest: string): string =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${rest}`;
const late = 'content-length: 9\r\n\r\n{';
const garbled = 'transfer-encoding: chunked\r\n\r\nzz\r\n';

const problem = (code: string) => expect.objectContaining({ code, request_id: expect.any(String) });
const adaError = (type: string) => ({ errors: [{ type, message: expect.any(String), details: null }] });
const linkupError = {
  success: false,
  error: { code: 'INVALID_PARAMS', message: expect.any(String) },
  metadata: expect.objectContaining({ action: 'create_webhook' }),
};
const middeskError = { errors: [{ message: expect.any(String) }] };

describe('a request of which', () => {
  it.each<[string, number, number, unknown, unknown]>([
    ['/v1/accounts', 408, 400, problem('request_timeout'), problem('invalid_request')],
    ['/api/v2/webhooks/', 408, 400, adaError('request_timeout'), adaError('bad_request')],
    ['/v2/webhooks', 400, 400, linkupError, linkupError],
    ['/v1/webhooks', 408, 400, middeskError, middeskError],
  ])('the body never comes, or is garbled: %s', async (path, status, garbledStatus, tooLate, bad) => {
    const type = path === '/v1/accounts' ? 'application/problem+json' : 'application/json';
    expect(await answerTo(post(path, late))).toEqual([status, type, tooLate]);
    expect(await answerTo(post(path, garbled))).toEqual([garbledStatus, type, bad]);
  });

  it.each<[string, number, unknown, unknown]>([
    ['/v1/accounts', 431, problem('headers_too_large'), problem('invalid_request')],
    ['/api/v2/web%68ooks/', 400, adaError('bad_request'), adaError('bad_request')],
    ['/v2/webhooks', 400, linkupError, linkupError],
    ['/v1/webhooks?per_page=1', 431, middeskError, middeskError],
  ])('the head is too long, or garbled: %s', async (path, status, tooLong, bad) => {
    const type = path === '/v1/accounts' ? 'application/problem+json' : 'application/json';
    expect(await answerTo(post(path, `x: ${'y'.repeat(20_000)}\r\n\r\n`))).toEqual([status, type, tooLong]);
    expect(await answerTo(post(path, 'x\r\n\r\n'))).toEqual([400, type, bad]);
  });

  it.each<[string, number, unknown]>([
    ['/v1/accounts', 11, problem('payload_too_large')],
    ['/api/v2/webhooks', 21, adaError('content_too_large')],
  ])(
    'the body is too long is read to its end, or nobody would hear the answer: %s',
    async (path, mb, body) => {
      // For sending so much, however busy the machine is.
      Object.assign(fastify.server, { requestTimeout: 60_000, headersTimeout: 60_000 });
      const type = path === '/v1/accounts' ? 'application/problem+json' : 'application/json';
      const text = ' '.repeat(mb * 1_000_000);
      const counted = `connection: close\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
      expect(await answerTo(post(path, counted))).toEqual([413, type, body]);
      const chunk = `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
      const chunked = `connection: close\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`;
      expect(await answerTo(post(path, chunked))).toEqual([413, type, body]);
    },
  );

  it('the head never comes whole is ours, also after a request of another API', async () => {
    const ours = [408, 'application/problem+json', problem('request_timeout')];
    expect(await answerTo('POST /api/v2/webhooks HT')).toEqual(ours);
    const whole = post('/api/v2/webhooks', 'content-length: 2\r\n\r\n{}');
    expect(await answerTo(whole, 'POST /api/v2')).toEqual(ours);
  });
});

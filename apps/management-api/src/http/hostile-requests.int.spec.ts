import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RestAnswer, TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// Requests no honest program sends. Each gets a 4xx that names the place and the rule; the service stays as it was.

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  await tenant.createEndpoint('acme', { url: 'https://receiver.example/' });
  await tenant.putAccount('other');
}, 60_000);
afterAll(() => bed.stop());

const URL_OK = 'https://receiver.example/';
const ENDPOINTS = '/v1/accounts/acme/endpoints';

describe('a hostile request line', () => {
  it.each<[string, string, string, unknown[]]>([
    ['another method', 'DELETE', '/v1/accounts', [405, 'method_not_allowed']],
    ['another method of a publish', 'PUT', '/v1/accounts/acme/messages/batch', [405, 'method_not_allowed']],
    ['a path nobody serves', 'GET', '/v1/nothing', [404, 'not_found']],
    ['a trailing slash', 'GET', '/v1/accounts/', [404, 'not_found']],
    ['an empty part', 'GET', '/v1/accounts//endpoints', [404, 'not_found']],
    ['a part of 8 KB', 'GET', `/v1/accounts/${'a'.repeat(8_000)}`, [404, 'not_found']],
    ['headers of 16 KB', 'GET', `/v1/accounts/${'a'.repeat(17_000)}`, [431, 'headers_too_large']],
    ['NUL for an account', 'GET', '/v1/accounts/%00', [404, 'not_found', ':account absent']],
    ['NUL for an endpoint', 'GET', '/v1/endpoints/%00', [404, 'not_found', ':endpoint absent']],
    ['NUL for an event type', 'GET', '/v1/event-types/%00', [404, 'not_found', ':name absent']],
    ['NUL for a message', 'GET', '/v1/messages/msg_%00', [404, 'not_found', ':id absent']],
    ['NUL for a delivery', 'GET', '/v1/deliveries/%00/attempts', [404, 'not_found', ':id absent']],
    ['NUL for a publish', 'POST', '/v1/accounts/%00/messages', [404, 'not_found', ':account absent']],
    ['what is no UTF-8', 'GET', '/v1/accounts/%ff', [400, 'invalid_request']],
    ['what is no escape', 'GET', '/v1/accounts/%zz', [400, 'invalid_request']],
    ['SQL', 'GET', "/v1/accounts/a'%20or%20'1'='1", [404, 'not_found', ':account absent']],
    [
      'an unknown parameter',
      'GET',
      '/v1/accounts?colour=1',
      [400, 'invalid_request', '?colour unknown_field'],
    ],
    [
      '__proto__ as a parameter',
      'GET',
      '/v1/accounts?__proto__=1',
      [400, 'invalid_request', '?__proto__ unknown_field'],
    ],
    ['limit=0', 'GET', '/v1/accounts?limit=0', [400, 'invalid_request', '?limit too_small']],
    ['limit=201', 'GET', '/v1/accounts?limit=201', [400, 'invalid_request', '?limit too_large']],
    ['limit twice', 'GET', '/v1/accounts?limit=1&limit=2', [400, 'invalid_request', '?limit wrong_type']],
    [
      'limit of 400 digits',
      'GET',
      `/v1/accounts?limit=${'9'.repeat(400)}`,
      [400, 'invalid_request', '?limit wrong_type'],
    ],
    [
      'garbage as a cursor',
      'GET',
      '/v1/accounts?cursor=%00%ff',
      [400, 'invalid_cursor', '?cursor invalid_cursor'],
    ],
    ['an empty cursor', 'GET', '/v1/accounts?cursor=', [400, 'invalid_cursor', '?cursor invalid_cursor']],
    [
      'a status there is not',
      'GET',
      '/v1/accounts/acme/deliveries?status=lost',
      [400, 'invalid_request', '?status invalid_value'],
    ],
    [
      'an endpoint there is not',
      'GET',
      '/v1/accounts/acme/deliveries?endpoint_id=nobody',
      [400, 'invalid_request', '?endpoint_id unknown_endpoint'],
    ],
    [
      'NUL for an endpoint to filter by',
      'GET',
      '/v1/accounts/acme/deliveries?endpoint_id=%00',
      [400, 'invalid_request', '?endpoint_id invalid_format'],
    ],
    [
      'a time that is none',
      'GET',
      '/v1/accounts/acme/messages?since=2026-02-30T00:00:00Z',
      [400, 'invalid_request', '?since invalid_format'],
    ],
  ])('%s', async (_, method, path, refusal) => {
    const answer =
      method === 'POST'
        ? await tenant.rest.post(path, { event_type: 'a', payload: 1 })
        : await tenant.rest.send(method, path);
    if (answer.status === 431) expect(answer.json).toMatchObject({ status: refusal[0], code: refusal[1] });
    else expect(refusalOf(answer)).toEqual(refusal);
    if (answer.status === 405) expect(answer.headers.get('allow')).toMatch(/GET|POST/);
  });

  it('that is no HTTP at all is answered, and the connection closed', async () => {
    const { hostname, port } = new URL(bed.api.url);
    for (const bytes of [
      '\x16\x03\x01\x02\x00\x01',
      'GET / HTTP/9.9\r\n\r\n',
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
    ]) {
      const socket = connect(Number(port), hostname);
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.write(bytes);
      await once(socket, 'close');
      expect(answer).toMatch(
        /^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"invalid_request"/,
      );
    }
  });
});

describe("another list's cursor", () => {
  it('is refused, whoever it was made for', async () => {
    const cursorOf = async (path: string, by: TenantClient = tenant): Promise<string> =>
      (await by.rest.ask<{ next_cursor: string }>('GET', `${path}?limit=1`)).next_cursor;
    const stranger = await bed.api.newTenant();
    await stranger.putAccount('a');
    await stranger.putAccount('b');
    await tenant.createEndpoint('acme', { url: URL_OK });
    const accounts = await cursorOf('/v1/accounts');
    const refused = [400, 'invalid_cursor', '?cursor invalid_cursor'];
    const open = (path: string, cursor: string): Promise<RestAnswer> =>
      tenant.rest.get(`${path}?limit=1&cursor=${cursor}`);
    expect((await open('/v1/accounts', accounts)).status).toBe(200);
    for (const [path, cursor] of [
      ['/v1/accounts', await cursorOf('/v1/accounts', stranger)],
      ['/v1/event-types', accounts],
      [ENDPOINTS, accounts],
      ['/v1/accounts/other/endpoints', await cursorOf(ENDPOINTS)],
      ['/v1/accounts', `${accounts.slice(0, -1)}${accounts.endsWith('A') ? 'B' : 'A'}`],
      ['/v1/accounts', `${accounts}!`],
      ['/v1/accounts', accounts.slice(0, -4)],
    ] as const) {
      expect([path, ...refusalOf(await open(path, cursor))]).toEqual([path, ...refused]);
    }
  });
});

it('after all of this the service serves as before', async () => {
  const { deliveries } = await tenant.publish('acme', 'a.b', { still: 'here' });
  expect(deliveries).toBe(2);
});

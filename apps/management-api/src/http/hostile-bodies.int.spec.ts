import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// Requests no honest program sends. Each gets a 4xx that names the place and the rule; the service stays as it was.

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
}, 60_000);
afterAll(() => bed.stop());

const URL_OK = 'https://receiver.example/';
const endpoint = (more: object) => ({ url: URL_OK, ...more });
const ENDPOINTS = '/v1/accounts/acme/endpoints';
const NESTED = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

describe('a hostile body', () => {
  it.each<[string, string, unknown, unknown[]]>([
    // what is no JSON, at every depth
    [
      'cut off',
      ENDPOINTS,
      '{"url":"https://x.example/","metadata":{"a":',
      [400, 'malformed_json', 'malformed_json 44'],
    ],
    ['cut off in a name', ENDPOINTS, '{"ur', [400, 'malformed_json', 'malformed_json 4']],
    ['a stray comma', ENDPOINTS, '{"event_types":["a",]}', [400, 'malformed_json', 'malformed_json 20']],
    ['two values', ENDPOINTS, '{} {}', [400, 'malformed_json', 'malformed_json 3']],
    ['a byte order mark', ENDPOINTS, '\ufeff{}', [400, 'malformed_json', 'malformed_json 0']],
    [
      'invalid UTF-8',
      ENDPOINTS,
      Buffer.from('7b2261ff223a317d', 'hex'),
      [400, 'malformed_json', 'malformed_json 3'],
    ],
    [
      '33 levels',
      '/v1/event-types',
      `{"name":"deep","example":${NESTED(32)}}`,
      [400, 'invalid_request', 'too_deep 56'],
    ],
    ['100,000 levels', ENDPOINTS, NESTED(100_000), [400, 'invalid_request', 'too_deep 32']],
    // what JSON allows and nobody should send
    ['a name twice', ENDPOINTS, '{"url":"a","url":"b"}', [400, 'invalid_request', '/url duplicate_field']],
    [
      'a name twice, escaped',
      ENDPOINTS,
      '{"url":"a","\\u0075rl":"b"}',
      [400, 'invalid_request', '/url duplicate_field'],
    ],
    [
      'a name twice, below',
      ENDPOINTS,
      '{"metadata":{"a":"1","a":"2"}}',
      [400, 'invalid_request', '/metadata/a duplicate_field'],
    ],
    [
      '__proto__',
      ENDPOINTS,
      '{"__proto__":{"url":"x"}}',
      [400, 'invalid_request', '/__proto__ forbidden_name'],
    ],
    [
      '__proto__ below',
      ENDPOINTS,
      '{"metadata":{"__proto__":"x"}}',
      [400, 'invalid_request', '/metadata/__proto__ forbidden_name'],
    ],
    [
      'NUL in text',
      ENDPOINTS,
      endpoint({ description: 'a\0b' }),
      [400, 'invalid_request', '/description bad_string'],
    ],
    [
      'NUL in a name',
      ENDPOINTS,
      endpoint({ metadata: { 'a\0': 'b' } }),
      [400, 'invalid_request', '/metadata/a\0 bad_string'],
    ],
    [
      'NUL in an example',
      '/v1/event-types',
      { name: 'nul', example: ['\0'] },
      [400, 'invalid_request', '/example/0 bad_string'],
    ],
    [
      'half a surrogate pair',
      ENDPOINTS,
      '{"description":"\\ud800"}',
      [400, 'invalid_request', '/description bad_string'],
    ],
    [
      '1e400',
      ENDPOINTS,
      '{"timeout_seconds":1e400}',
      [400, 'invalid_request', '/timeout_seconds number_out_of_range'],
    ],
    [
      'an integer that would lose digits',
      '/v1/event-types',
      '{"name":"big","example":{"n":12345678901234567890}}',
      [400, 'invalid_request', '/example/n number_out_of_range'],
    ],
    // what is JSON, but not what was asked for
    ['nothing', ENDPOINTS, '', [422, 'validation_failed', 'required']],
    ['null', ENDPOINTS, 'null', [422, 'validation_failed', 'wrong_type']],
    ['an array', ENDPOINTS, '[]', [422, 'validation_failed', 'wrong_type']],
    [
      'an unknown field',
      ENDPOINTS,
      endpoint({ colour: 1 }),
      [422, 'validation_failed', '/colour unknown_field'],
    ],
    [
      'an unknown field below',
      ENDPOINTS,
      endpoint({ retry_policy: { preset: 'ada', x: 1 } }),
      [422, 'validation_failed', '/retry_policy/x unknown_field'],
    ],
    [
      'constructor',
      ENDPOINTS,
      endpoint({ constructor: 1 }),
      [422, 'validation_failed', '/constructor unknown_field'],
    ],
    [
      'wrong types',
      ENDPOINTS,
      { url: 1, enabled: 'yes', event_types: 'a', channels: [1] },
      [
        422,
        'validation_failed',
        '/url wrong_type',
        '/event_types wrong_type',
        '/channels/0 wrong_type',
        '/enabled wrong_type',
      ],
    ],
    [
      'odd event types',
      ENDPOINTS,
      endpoint({ event_types: ['a b', 'a..b', 'ä', "a';--"] }),
      [
        422,
        'validation_failed',
        '/event_types/0 invalid_format',
        '/event_types/1 invalid_format',
        '/event_types/2 invalid_format',
        '/event_types/3 invalid_format',
      ],
    ],
    [
      'an odd event type',
      '/v1/event-types',
      { name: '../x' },
      [422, 'validation_failed', '/name invalid_format'],
    ],
    ['a uid of dots', ENDPOINTS, endpoint({ uid: '..' }), [422, 'validation_failed', '/uid invalid_format']],
    [
      'a uid like an id of ours',
      ENDPOINTS,
      endpoint({ uid: `ep_${'0'.repeat(27)}` }),
      [422, 'validation_failed', '/uid reserved_form'],
    ],
    [
      'a header with a line break',
      ENDPOINTS,
      endpoint({ headers: { 'x-a': 'b\r\nhost: evil' } }),
      [422, 'validation_failed', '/headers/x-a bad_header_value'],
    ],
    [
      'a header name with a line break',
      ENDPOINTS,
      endpoint({ headers: { 'x-a\r\nhost': 'b' } }),
      [422, 'validation_failed', '/headers/x-a\r\nhost bad_header_name'],
    ],
    [
      'a header of ours',
      ENDPOINTS,
      endpoint({ headers: { 'Webhook-Id': 'b', Host: 'c' } }),
      [422, 'validation_failed', '/headers/Webhook-Id reserved_header', '/headers/Host reserved_header'],
    ],
    [
      'a header in two spellings',
      ENDPOINTS,
      endpoint({ headers: { 'x-a': '1', 'X-A': '2' } }),
      [422, 'validation_failed', '/headers/X-A duplicate_header'],
    ],
    [
      'an inner address',
      ENDPOINTS,
      { url: 'https://169.254.169.254/' },
      [422, 'validation_failed', '/url private_address'],
    ],
    [
      'a secret of the wrong form',
      ENDPOINTS,
      endpoint({ secret: 'whsec_short' }),
      [422, 'validation_failed', '/secret bad_secret'],
    ],
    [
      'a list as long as the body',
      ENDPOINTS,
      endpoint({ event_types: Array(200_000).fill('a') }),
      [422, 'validation_failed', '/event_types too_many'],
    ],
    [
      'a body above a megabyte',
      ENDPOINTS,
      `"${'x'.repeat(1_048_576)}"`,
      [413, 'payload_too_large', 'too_large'],
    ],
  ])('%s', async (_, path, body, refusal) => {
    expect(refusalOf(await tenant.rest.post(path, body))).toEqual(refusal);
  });

  it('of another type, or in another charset', async () => {
    const unsupported = [415, 'unsupported_media_type', 'content-type not_served'];
    for (const type of [
      'text/plain',
      'application/xml',
      'application/jsonp',
      'x',
      'application/json; charset=utf-16',
    ]) {
      const answer = await tenant.rest.post(ENDPOINTS, '{}', { 'content-type': type });
      expect([type, ...refusalOf(answer)]).toEqual([type, ...unsupported]);
    }
  });

  it('with a name as long as itself does not get it back', async () => {
    const answer = await tenant.rest.post(ENDPOINTS, { [`x${'y'.repeat(500_000)}`]: 1 });
    expect(answer.status).toBe(422);
    expect(answer.bytes.length).toBeLessThan(2_000);
  });
});

it('after all of this the service serves as before', async () => {
  const { deliveries } = await tenant.publish('acme', 'a.b', { still: 'here' });
  expect(deliveries).toBe(0);
});

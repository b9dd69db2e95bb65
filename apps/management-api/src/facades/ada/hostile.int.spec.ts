import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type RestAnswer, RestClient } from '@posthaste/test-kit';
import { adaErrorOf } from '../../proving/ada-error.js';
import { startTestBed, type TestBed } from '../../proving/test-bed.js';
import type { Webhook } from './webhook.js';

// What no honest client of Ada's sends. Each is refused in Ada's form, by the field where there is one, and changes nothing.

jest.setTimeout(60_000);

const WEBHOOKS = '/api/v2/webhooks/';
const URL_OK = 'https://receiver.example/';

let bed: TestBed;
let client: RestClient;
let webhook: Webhook;

beforeAll(async () => {
  bed = await startTestBed();
  const tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  client = await bed.api.accountClient(tenant, 'acme');
  webhook = await client.ask('POST', WEBHOOKS, { body: { url: URL_OK } });
});
afterAll(() => bed.stop());

async function stateNow(): Promise<unknown> {
  const { rows } = await bed.database.query(
    'select (select count(*) from config.entity_version) as versions, (select count(*) from config.audit_entry) as audits',
  );
  return rows;
}

/** The refusal of a request that must leave everything as it is. */
async function refusalOf(ask: () => Promise<RestAnswer>): Promise<[number, string, ...string[]]> {
  const before = await stateNow();
  const refusal = adaErrorOf(await ask());
  expect(await stateNow()).toEqual(before);
  return refusal;
}

const notText = [7, true, [], {}, null];
const wrong: [field: string, place: string, values: unknown[]][] = [
  [
    'url',
    '$.url',
    [
      ...notText,
      '',
      ' ',
      'x',
      'ftp://receiver.example/',
      'javascript:alert(1)',
      'file:///etc/passwd',
      'http://receiver.example/',
      'https://user:password@receiver.example/',
      'https://169.254.169.254/latest/meta-data',
      'https://[::1]/',
      'https://localhost/',
      'https://0x0a000001/',
      `https://receiver.example/${'x'.repeat(2_100)}`,
      'https://receiver.example/\0',
      'https://receiver.example/\ud800',
    ],
  ],
  ['description', '$.description', [7, true, [], {}, 'x'.repeat(1_025), 'a\0b']],
  ['event_filters', '$.event_filters', ['v1.end_user.created', 7, {}, true, Array(501).fill('a')]],
  [
    'event_filters',
    '$.event_filters[1]',
    ['', ' ', 'a b', '.', 'a..b', '*', "a'; drop table config.endpoint; --", 'x'.repeat(129), ...notText].map(
      (one) => ['fine', one],
    ),
  ],
  ['enabled', '$.enabled', ['true', 'yes', 1, 0, [], {}, null]],
];

const short = (value: unknown): string => JSON.stringify(value).slice(0, 60);

describe('a wrong field', () => {
  it.each(wrong)('%s, at %s', async (field, place, values) => {
    for (const value of values) {
      const body = { url: URL_OK, [field]: value };
      for (const ask of [
        () => client.post(WEBHOOKS, body),
        () => client.patch(WEBHOOKS + webhook.id, { [field]: value }),
      ]) {
        const [status, type, at] = await refusalOf(ask);
        expect([short(value), status, type, at]).toEqual([short(value), 400, 'validation_error', place]);
      }
    }
  });

  it('key, at $.key', async () => {
    const base64 = (bytes: number): string => Buffer.alloc(bytes).toString('base64');
    for (const key of [
      7,
      true,
      [],
      {},
      '',
      'whsec_',
      `whsec_${base64(23)}`,
      `whsec_${base64(65)}`,
      `whsk_${base64(64)}`,
      `whsec_whsec_${base64(24)}`,
      'x'.repeat(100_000),
      'not base64 at all, but long enough',
    ]) {
      const path = `${WEBHOOKS}${webhook.id}/secret/rotate/`;
      const [status, type, at] = await refusalOf(() => client.post(path, { key }));
      expect([short(key), status, type, at]).toEqual([short(key), 400, 'validation_error', '$.key']);
    }
  });
});

describe('a body', () => {
  const deep = `{"url":${'['.repeat(500)}${']'.repeat(500)}}`;
  it.each<[string, string | Buffer, Record<string, string>, unknown[]]>([
    ['cut short', '{"url":"https://a', {}, [400, 'bad_request']],
    ['with a comma too many', '{"url":"https://a.example/",}', {}, [400, 'bad_request']],
    ['of two values', '{} {}', {}, [400, 'bad_request']],
    ['that is no UTF-8', Buffer.from([0x22, 0xff, 0x22]), {}, [400, 'bad_request']],
    ['in UTF-16', Buffer.from('{}', 'utf16le'), {}, [400, 'bad_request']],
    ['of a list', '[{"url":"https://a.example/"}]', {}, [400, 'validation_error', '$']],
    ['of a text', '"url"', {}, [400, 'validation_error', '$']],
    ['of a number', '7', {}, [400, 'validation_error', '$']],
    ['nested 500 deep', deep, {}, [400, 'validation_error', '$']],
    ['with a name twice', '{"url":"a","url":"b"}', {}, [400, 'validation_error', '$.url']],
    ['with __proto__', '{"__proto__":{"url":"a"}}', {}, [400, 'validation_error', '$.__proto__']],
    ['with a number no double holds', '{"a b":1e400}', {}, [400, 'validation_error', '$["a b"]']],
    ['of a form', 'url=x', { 'content-type': 'application/x-www-form-urlencoded' }, [400, 'bad_request']],
    ['of XML', '<url/>', { 'content-type': 'application/xml' }, [400, 'bad_request']],
    ['of no type', '{}', { 'content-type': '' }, [400, 'bad_request']],
    ['of a type that is none', '{}', { 'content-type': ';;;' }, [400, 'bad_request']],
    ['in Latin-1', '{}', { 'content-type': 'application/json; charset=latin1' }, [400, 'bad_request']],
    ['of 11 megabytes', `{"url":"${'x'.repeat(11_000_000)}"}`, {}, [413, 'content_too_large']],
  ])('%s', async (_, body, headers, refusal) => {
    expect(await refusalOf(() => client.post(WEBHOOKS, body, headers))).toEqual(refusal);
    const path = `${WEBHOOKS}${webhook.id}/secret/rotate/`;
    expect((await refusalOf(() => client.post(path, body, headers)))[0]).toBe(refusal[0]);
  });
});

describe('an id', () => {
  it.each([
    'ep_',
    'ep_short',
    'ep_2KWPBgLlAfxdpx2AI54pPJ85f4W',
    'ep_2KWPBgLlAfxdpx2AI54pPJ85f4Wx',
    'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W',
    "ep_1'%20or%20'1'='1",
    "';%20drop%20table%20config.endpoint;%20--",
    '1%20union%20select%20*',
    '%00',
    'ep_%00',
    '%e2%82%ac',
    '..%2f..%2fetc%2fpasswd',
    'a%2Fsecret',
    '$where',
    '-1',
    '0',
    '*',
    'null',
    'event-types',
    'x'.repeat(300),
    'x'.repeat(2_000),
  ])('%s', async (id) => {
    const path = WEBHOOKS + id;
    const asked: [string, string][] = [
      ['GET', path],
      ['PATCH', path],
      ['DELETE', path],
      ['GET', `${path}/secret/`],
      ['POST', `${path}/secret/rotate/`],
    ];
    for (const [method, at] of asked) {
      if (method === 'GET' && at.endsWith('/event-types')) continue;
      const body = method === 'PATCH' || method === 'POST' ? {} : undefined;
      const refusal = await refusalOf(() => client.send(method, at, { body }));
      expect([method, at, ...refusal]).toEqual([method, at, 404, 'not_found']);
    }
  });

  it.each(['%zz', '%ff', '%'])('that does not decode: %s', async (id) => {
    expect((await refusalOf(() => client.get(WEBHOOKS + id)))[0]).toBe(400);
  });
});

describe('a method', () => {
  it.each<[string, string[]]>([
    ['', ['PUT', 'PATCH', 'DELETE', 'OPTIONS']],
    ['event-types/', ['POST', 'PUT', 'OPTIONS']],
    [':id', ['POST', 'PUT', 'OPTIONS']],
    [':id/secret/', ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']],
    [':id/secret/rotate/', ['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']],
  ])('that is not served at %s', async (path, methods) => {
    for (const method of methods) {
      for (const as of [client, new RestClient(client.url)]) {
        const at = WEBHOOKS + path.replace(':id', webhook.id);
        expect([method, ...(await refusalOf(() => as.send(method, at)))]).toEqual([
          method,
          405,
          'method_not_allowed',
        ]);
      }
    }
  });
});

describe('a key', () => {
  it.each<[string, Record<string, string>]>([
    ['in another scheme', { authorization: 'Basic YTpi' }],
    ['that is empty', { authorization: 'Bearer ' }],
    ['without a scheme', { authorization: 'ph_account_x' }],
    ['of SQL', { authorization: "Bearer ' or 1=1 --" }],
    ['of 5,000 characters', { authorization: `Bearer ${'x'.repeat(5_000)}` }],
    ['in another header', { 'x-api-key': 'ph_account_x' }],
  ])('%s', async (_, headers) => {
    const nobody = new RestClient(client.url);
    for (const path of ['', 'event-types', webhook.id]) {
      expect(await refusalOf(() => nobody.get(WEBHOOKS + path, headers))).toEqual([401, 'unauthorized']);
    }
    // Before its body is read.
    expect(await refusalOf(() => nobody.post(WEBHOOKS, '{', headers))).toEqual([401, 'unauthorized']);
  });
});

describe('a query', () => {
  it.each<[string, string[]]>([
    ['limit', ['limit=1&limit=2', 'limit=%00', 'limit=9e99', `limit=${'9'.repeat(400)}`]],
    ['cursor', ['cursor=', 'cursor=%00', 'cursor=a&cursor=b', `cursor=${'a'.repeat(3_000)}`]],
  ])('with a wrong %s', async (name, queries) => {
    for (const query of queries) {
      const [status, type, at] = adaErrorOf(await client.get(`${WEBHOOKS}?${query}`));
      expect([short(query), status, type, at]).toEqual([
        short(query),
        400,
        'validation_error',
        `query $.${name}`,
      ]);
    }
  });

  it('of what is no parameter is ignored', async () => {
    const { status } = await client.get(`${WEBHOOKS}?__proto__=1&colour=red&limit[]=7&limit=1`);
    expect(status).toBe(200);
  });
});

it('after all of this the webhook is as it was', async () => {
  expect((await client.get(WEBHOOKS + webhook.id)).json).toEqual(webhook);
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Endpoint } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

/**
 * The rows of the network safety table that are refused before anything is stored, one of each kind: every form is in
 * the specs of the rules themselves. A test's name begins with its row. What is refused at creation is refused as a
 * change, too.
 */
describe('network safety, the API', () => {
  const good = 'https://example.com/hooks';
  let bed: TestBed;
  let tenant: TenantClient;
  let existing: Endpoint;

  beforeAll(async () => {
    const deny = 'posthaste.example.com,93.184.215.0/24';
    bed = await startTestBed({ env: { POSTHASTE_EGRESS_ALLOW: '', POSTHASTE_EGRESS_DENY: deny } });
    tenant = await bed.api.newTenant('Acme');
    await tenant.rest.put('/v1/accounts/e', {});
    existing = (await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url: good })).json;
  }, 60_000);
  afterAll(() => bed.stop());

  async function expectRefused(fields: object, ...problems: string[]): Promise<void> {
    const created = await tenant.rest.post('/v1/accounts/e/endpoints', { url: good, ...fields });
    expect(refusalOf(created)).toEqual([422, 'validation_failed', ...problems]);
    const changed = await tenant.rest.patch(`/v1/endpoints/${existing.id}`, fields);
    expect(refusalOf(changed)).toEqual([422, 'validation_failed', ...problems]);
  }

  it.each([
    [2, 'https://2130706433/', 'private_address'],
    [3, 'https://①②⑦.⓪.⓪.①/', 'private_address'],
    [5, 'https://[::ffff:a9fe:a9fe]/', 'private_address'],
    [9, 'https://[2a00:1450::5efe:7f00:1]/', 'private_address'],
    [13, 'https://169.254.169.254/latest/meta-data/', 'private_address'],
    [18, 'https://LOCALHOST./', 'private_name'],
    [19, 'https://metadata.google.internal/', 'private_name'],
    [27, 'https://user:pass@example.com/', 'userinfo'],
    [28, 'https://127.0.0.2#@example.com', 'fragment'],
    [29, 'https://example.com\\@127.0.0.1', 'odd_characters'],
    [30, 'gopher://example.com/', 'scheme'],
    [31, 'http://example.com/', 'https_only'],
    [32, 'https://example.com:6379/', 'port'],
    [33, 'https://a..b/', 'host'],
    [37, 'https://api.posthaste.example.com/', 'denied_host'],
    [37, 'https://93.184.215.14/', 'denied_host'],
  ])('%i: %s is refused, naming the rule %s', async (_, url, rule) => {
    await expectRefused({ url }, `/url ${rule}`);
  });

  it.each([
    [35, 'https://münchen.de/', 'https://xn--mnchen-3ya.de/'],
    [35, 'https://аpple.com/', 'https://xn--pple-43d.com/'],
    [36, 'https://a.example/%0d%0ax', 'https://a.example/%0d%0ax'],
  ])('%i: %s is stored as it will be called', async (_, url, stored) => {
    const { json } = await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url });
    expect(json.url).toBe(stored);
  });

  it.each(['a\r\nb', 'a\nb', 'aé€b'])('39: a header value like %j is refused', async (value) => {
    await expectRefused({ headers: { 'x-shop': value } }, '/headers/x-shop bad_header_value');
  });

  it('39: so is a NUL, as in any text', async () => {
    const refused = await tenant.rest.patch(`/v1/endpoints/${existing.id}`, {
      headers: { 'x-shop': 'a\0b' },
    });
    expect(refusalOf(refused)).toEqual([400, 'invalid_request', '/headers/x-shop bad_string']);
  });

  it.each([
    ...['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'expect', 'te', 'trailer'],
    ...['keep-alive', 'proxy-authorization', 'webhook-signature', 'cookie', 'user-agent', 'Content-Type'],
  ])('40: the header %s is refused', async (name) => {
    await expectRefused({ headers: { [name]: 'x' } }, `/headers/${name} reserved_header`);
  });
});

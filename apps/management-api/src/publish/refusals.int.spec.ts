import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TenantClient } from '@posthaste/test-kit';
import { OPERATOR_KEY } from '../proving/api-under-test.js';
import { loggedMessages } from '../proving/logged-messages.js';
import { message, MESSAGES, type Post, posting } from '../proving/publishing.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;
let post: Post;

beforeAll(async () => {
  bed = await startTestBed({ replicas: 2 });
  tenant = await bed.api.newTenant('publisher');
  post = posting(bed.api, tenant);
  await tenant.putAccount('acme');
}, 60_000);
afterAll(() => bed.stop());

describe('a refused message', () => {
  it.each<[string, string, Record<string, string>, unknown[]]>([
    [
      'unknown field',
      message({ unheard_of: 'k' }),
      {},
      [422, 'validation_failed', '/unheard_of unknown_field'],
    ],
    [
      'duplicate field',
      '{"event_type":"a","event_type":"b","payload":1}',
      {},
      [422, 'validation_failed', '/event_type duplicate_field'],
    ],
    ['no payload', '{"event_type":"a"}', {}, [422, 'validation_failed', '/payload required']],
    [
      'wrong types',
      message({ event_type: 1, channels: 'c', tags: [2] }),
      {},
      [422, 'validation_failed', '/event_type wrong_type', '/channels wrong_type', '/tags/0 wrong_type'],
    ],
    [
      'too many channels',
      message({ channels: Array(11).fill('c') }),
      {},
      [422, 'validation_failed', '/channels too_many'],
    ],
    [
      'long event type',
      message({ event_type: 'a'.repeat(129) }),
      {},
      [422, 'validation_failed', '/event_type too_long'],
    ],
    [
      'malformed JSON',
      '{"event_type":"a","payload":{"b":tru}}',
      {},
      [400, 'malformed_json', 'malformed_json 36'],
    ],
    ['no body', '', {}, [400, 'malformed_json', 'malformed_json 0']],
    [
      'deep payload',
      `{"event_type":"a","payload":${'['.repeat(65)}1${']'.repeat(65)}}`,
      {},
      [400, 'invalid_request', 'too_deep 92'],
    ],
    [
      'form',
      'a=b',
      { 'content-type': 'application/x-www-form-urlencoded' },
      [415, 'unsupported_media_type', 'content-type not_served'],
    ],
    [
      'other charset',
      message(),
      { 'content-type': 'application/json; charset=latin1' },
      [415, 'unsupported_media_type', 'content-type not_served'],
    ],
    ['raw without body', '', { 'webhook-event-type': 'a' }, [422, 'validation_failed', 'required']],
    [
      'raw with a bad type',
      'x',
      { 'webhook-event-type': 'a b' },
      [422, 'validation_failed', 'webhook-event-type invalid_format'],
    ],
    [
      'raw with an empty tag',
      'x',
      { 'webhook-event-type': 'a', 'webhook-tags': 'a,,b' },
      [422, 'validation_failed', 'webhook-tags invalid_format'],
    ],
    [
      'long idempotency key',
      message(),
      { 'idempotency-key': 'k'.repeat(256) },
      [400, 'invalid_request', 'Idempotency-Key invalid_format'],
    ],
  ])('%s', async (_, body, headers, expected) => {
    const before = (await loggedMessages(bed.log)).length;
    const answer = await post(body, headers);
    expect(refusalOf(answer)).toEqual(expected);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect((await loggedMessages(bed.log)).length).toBe(before);
  });

  it('for want of a key that counts', async () => {
    const other = await bed.api.newTenant('revoker');
    await other.rest.put('/v1/accounts/acme', {});
    const { json: second } = await bed.api.operator.post<{ id: string; key: string }>(
      `/v1/tenants/${other.id}/keys`,
      { scope: 'tenant' },
    );
    expect((await post(message(), {}, { key: second.key })).status).toBe(202);
    await bed.api.operator.delete(`/v1/tenants/${other.id}/keys/${second.id}`);
    for (const key of [second.key, tenant.key.slice(0, -1), `${tenant.key}x`, 'garbage']) {
      for (const served of [bed.api, bed.replica]) {
        const answer = await post(message(), {}, { key, api: served });
        expect(refusalOf(answer)).toEqual([401, 'unauthenticated', 'authorization invalid_key']);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    }
    expect(refusalOf(await bed.api.as().post(MESSAGES, message()))).toEqual([
      401,
      'unauthenticated',
      'authorization required',
    ]);
    expect(refusalOf(await post(message(), {}, { key: OPERATOR_KEY }))).toEqual([
      403,
      'forbidden',
      'authorization wrong_key',
    ]);
  });

  it("is told the same of another tenant's account as of one that is not there", async () => {
    const other = await bed.api.newTenant('other');
    const foreign = await other.putAccount('theirs');
    const told = await Promise.all(
      [foreign.id, 'theirs', 'acc_000000000000000000000000000', 'nobody'].map((ref) =>
        post(message(), {}, { path: `/v1/accounts/${ref}/messages` }),
      ),
    );
    expect(told.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    const same = told.map(({ json }) => ({ ...json, instance: '', request_id: '' }));
    expect(new Set(same.map((body) => JSON.stringify(body))).size).toBe(1);
  });

  it("comes from another account's key, or goes to a deleted account", async () => {
    await tenant.rest.put('/v1/accounts/mine', {});
    await tenant.rest.put('/v1/accounts/gone', {});
    const { key: mine } = await bed.api.accountClient(tenant, 'mine');
    const { key: gone } = await bed.api.accountClient(tenant, 'gone');
    const at = (ref: string, key: string | undefined) =>
      post(message(), {}, { path: `/v1/accounts/${ref}/messages`, key });
    expect((await at('mine', mine)).status).toBe(202);
    expect(refusalOf(await at('acme', mine))).toEqual([404, 'not_found', ':account absent']);
    expect((await at('gone', gone)).status).toBe(202);
    await tenant.rest.delete('/v1/accounts/gone', { 'if-match': '*' });
    expect(refusalOf(await at('gone', tenant.key))).toEqual([404, 'not_found', ':account absent']);
    expect(refusalOf(await at('gone', gone))).toEqual([401, 'unauthenticated', 'authorization invalid_key']);
  });

  it('has an event type outside the catalogue of a tenant that wants known ones', async () => {
    const strict = await bed.api.newTenant('strict');
    await strict.rest.put('/v1/accounts/acme', {});
    const at = { key: strict.key };
    expect((await post(message(), {}, at)).status).toBe(202);
    await bed.api.operator.patch(
      `/v1/tenants/${strict.id}`,
      { event_type_policy: 'known' },
      { 'if-match': '*' },
    );
    const unknown = [422, 'validation_failed', '/event_type unknown_event_type'];
    expect(refusalOf(await post(message(), {}, at))).toEqual(unknown);
    expect((await strict.rest.post('/v1/event-types', { name: 'invoice.paid' })).status).toBe(201);
    expect((await post(message(), {}, at)).status).toBe(202);
    await strict.rest.patch('/v1/event-types/invoice.paid', { archived: true }, { 'if-match': '*' });
    expect(refusalOf(await post(message(), {}, at))).toEqual(unknown);
  });
});

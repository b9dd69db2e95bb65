import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Account } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
}, 60_000);
afterAll(() => bed.stop());

describe('an account', () => {
  it('is put, replaced, patched, listed and deleted; repeating a request changes nothing', async () => {
    const created = await tenant.rest.put<Account>('/v1/accounts/a:1', {
      name: 'One',
      metadata: { plan: 'pro' },
    });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({ uid: 'a:1', name: 'One', metadata: { plan: 'pro' }, version: 1 });
    const again = await tenant.rest.put('/v1/accounts/a:1', { metadata: { plan: 'pro' }, name: 'One' });
    expect(again.status).toBe(200);
    expect(again.headers.get('etag')).toBe('"1"');
    const patched = await tenant.rest.patch(`/v1/accounts/${created.json.id}`, {
      metadata: { plan: null, seats: '3' },
    });
    expect(patched.json).toMatchObject({ name: 'One', metadata: { seats: '3' }, version: 2 });
    const replaced = await tenant.rest.put(`/v1/accounts/${created.json.id}`, {});
    expect(replaced.json).toMatchObject({ uid: 'a:1', name: '', metadata: {}, version: 3 });
    expect((await tenant.rest.delete('/v1/accounts/a:1')).status).toBe(204);
    expect(refusalOf(await tenant.rest.get('/v1/accounts/a:1'))).toEqual([
      404,
      'not_found',
      ':account absent',
    ]);
    expect((await tenant.rest.put('/v1/accounts/a:1', {})).status).toBe(201);
  });

  it('receives operator events only when the tenant says so; an account key may not', async () => {
    const put = await tenant.rest.put<Account>('/v1/accounts/ops', { receives_operator_events: true });
    expect(put.json).toMatchObject({ receives_operator_events: true, version: 1 });
    const named = await tenant.rest.patch('/v1/accounts/ops', { name: 'Operations' });
    expect(named.json).toMatchObject({ receives_operator_events: true, version: 2 });
    const own = await bed.api.accountClient(tenant, 'ops');
    expect((await own.patch('/v1/accounts/ops', { receives_operator_events: false })).status).toBe(403);
    const back = await tenant.rest.patch('/v1/accounts/ops', { receives_operator_events: null });
    expect(back.json).toMatchObject({ receives_operator_events: false, version: 3 });
    expect((await tenant.rest.get('/v1/accounts/ops')).json).toEqual(back.json);
    expect(refusalOf(await tenant.rest.put('/v1/accounts/ops', { receives_operator_events: 'yes' }))).toEqual(
      [422, 'validation_failed', '/receives_operator_events wrong_type'],
    );
  });

  it('is created once when many put it at the same moment', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => tenant.rest.put<Account>('/v1/accounts/rush', { name: 'r' })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
  });

  it('is not created under an id of ours', async () => {
    expect((await tenant.rest.put(`/v1/accounts/acc_${'0'.repeat(27)}`, {})).status).toBe(404);
  });
});

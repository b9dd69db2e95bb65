import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Tenant } from '@posthaste/contracts';
import { type TenantClient, Upstream, waitFor } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { SourceAccount } from '../proving/source-account.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;
let upstream: Upstream;

beforeAll(async () => {
  bed = await startTestBed({ replicas: 2 });
  tenant = await bed.api.newTenant('LinkUp');
  upstream = await Upstream.start();
}, 60_000);
afterAll(async () => {
  await bed.stop();
  await upstream.stop();
});

const create = (uid: string, of = tenant) => SourceAccount.create(bed, of, uid);
const linkup = { profile: 'linkup' };

describe('usage', () => {
  it('is ten credits a day for an account, however many endpoints it has, and none for one that is not monitored', async () => {
    const [account, other] = [await create('acme'), await create('other')];
    await other.endpoint();
    const first = await account.endpoint(linkup);
    const second = await account.endpoint(linkup);
    await account.grow(48);
    const { monitored_since } = await account.usage();
    const until = new Date(Date.parse(monitored_since ?? '') + 86_400_000).toISOString();
    expect(await account.usage(`?until=${until}`)).toEqual({
      account_id: account.id,
      since: null,
      until,
      credits: 10,
      monitored_seconds: 86_400,
      monitored_since,
      periods: [{ started_at: monitored_since, ended_at: null }],
    });
    await account.disable(first.id);
    expect((await account.usage()).monitored_since).toBe(monitored_since);
    await tenant.rest.delete(`/v1/endpoints/${second.id}`);
    const stopped = await account.usage();
    expect(stopped).toMatchObject({ monitored_since: null, periods: [{ ended_at: expect.any(String) }] });
    expect(stopped.credits).toBeGreaterThanOrEqual(20);
    await account.grow(1);
    expect((await account.usage()).credits).toBe(stopped.credits);
    expect(await other.usage()).toMatchObject({ credits: 0, monitored_since: null, periods: [] });
    expect(refusalOf(await tenant.rest.get(`/v1/accounts/acme/usage?since=2030-01-01T00:00:00Z`))).toEqual([
      400,
      'invalid_request',
      '?since out_of_range',
    ]);
    expect((await tenant.rest.get('/v1/accounts/acme/usage?since=yesterday')).status).toBe(400);
  });

  it('begins and ends with the source where no endpoint asks for monitoring by itself', async () => {
    const account = await create('sourced');
    const endpoint = await account.endpoint();
    await account.put({ url: upstream.url() });
    await waitFor(async () => (await account.usage()).monitored_since !== null);
    await tenant.rest.delete(account.path);
    expect(await account.usage()).toMatchObject({ monitored_since: null, periods: [{}] });
    await account.put({ url: upstream.url() });
    await tenant.rest.patch(`/v1/endpoints/${endpoint.id}`, { enabled: false });
    expect(await account.usage()).toMatchObject({ monitored_since: null, periods: [{}, {}] });
  });

  it('ends when we disable the endpoint ourselves, because it is gone', async () => {
    const account = await create('gone');
    const { id, url } = await account.endpoint({ ...linkup, mode: 'push', url: 'https://example.com/' });
    expect((await account.usage()).monitored_since).not.toBeNull();
    const now = Date.now();
    const detail = { reason: 'gone', url, at: now, attempt: 'att_1' };
    await bed.database.query(
      `insert into health.action (cause, kind, tenant, account, endpoint, at, detail)
       values ('a test', 'disable', $1, $2, $3, $4, $5)`,
      [tenant.id, account.id, id, now, detail],
    );
    await waitFor(async () => (await account.usage()).monitored_since === null);
    expect((await tenant.rest.get(`/v1/endpoints/${id}`)).json).toMatchObject({ disabled_reason: 'gone' });
  });

  it('ends with the account, and with the tenant', async () => {
    const doomed = await bed.api.newTenant('doomed');
    const [one, two] = [await create('one', doomed), await create('two', doomed)];
    await one.endpoint(linkup);
    await two.endpoint(linkup);
    const open = async () =>
      (
        await bed.database.query<{ account: string }>(
          'select account from config.monitoring_period where tenant = $1 and ended_at is null order by id',
          [doomed.id],
        )
      ).rows.map(({ account }) => account);
    expect(await open()).toEqual([one.id, two.id]);
    await one.remove();
    expect(await open()).toEqual([two.id]);
    await bed.api.operator.delete(`/v1/tenants/${doomed.id}`);
    expect(await open()).toEqual([]);
  });
});

describe('a limit of credits', () => {
  it('ends monitoring when it is reached, refuses to start, and resumes with more', async () => {
    const limited = await bed.api.newTenant('limited');
    const tenantPath = `/v1/tenants/${limited.id}`;
    const account = await create('limited', limited);
    const { json } = await bed.api.operator.patch<Tenant>(tenantPath, { monitoring_credits: 10 });
    expect(json.monitoring_credits).toBe(10);
    await account.put({ url: upstream.url() });
    const endpoint = await account.endpoint(linkup);
    await account.whenState('open');
    await account.grow(24);
    await waitFor(async () => (await account.usage()).monitored_since === null, { deadlineMs: 30_000 });
    await account.whenState('idle');
    await upstream.whenOpen(0);
    const shown = await limited.rest.get(`/v1/endpoints/${endpoint.id}`);
    expect(shown.json).toMatchObject({ enabled: true });

    const renamed = await limited.rest.patch(`/v1/endpoints/${endpoint.id}`, { description: 'changed' });
    expect(renamed.status).toBe(200);
    const body = { mode: 'feed', ...linkup };
    expect(refusalOf(await limited.rest.post('/v1/accounts/limited/endpoints', body))).toEqual([
      402,
      'insufficient_credits',
    ]);
    await account.disable(endpoint.id);
    expect(refusalOf(await account.enable(endpoint.id))).toEqual([402, 'insufficient_credits']);
    // What is not monitored costs nothing.
    const free = await create('free', limited);
    await free.endpoint();
    expect(refusalOf(await free.put({ url: upstream.url() }))).toEqual([402, 'insufficient_credits']);

    await bed.api.operator.patch(tenantPath, { monitoring_credits: 1_000 });
    expect((await account.enable(endpoint.id)).status).toBe(200);
    await account.whenState('open');
    await account.grow(24_000);
    await waitFor(async () => (await account.usage()).monitored_since === null, { deadlineMs: 30_000 });
    await bed.api.operator.patch(tenantPath, { monitoring_credits: null });
    expect((await account.usage()).monitored_since).not.toBeNull();
    await account.whenState('open');
  }, 90_000);
});

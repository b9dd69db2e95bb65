import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AccountUsage } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { expectError, LinkupClient } from '../../proving/linkup-client.js';
import { startTestBed, type TestBed } from '../../proving/test-bed.js';

// What LinkUp bills: monitoring, by the account and not by the webhook, from the first active webhook to the last.

let bed: TestBed;
let tenant: TenantClient;
let linkup: LinkupClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
  linkup = new LinkupClient(bed.api.url, tenant.key);
}, 60_000);
afterAll(() => bed.stop());

async function usageOf(account: string): Promise<{ monitored: boolean; periods: number }> {
  const usage = await tenant.rest.ask<AccountUsage>('GET', `/v1/accounts/${account}/usage`);
  return { monitored: usage.monitored_since !== null, periods: usage.periods.length };
}

const on = { monitored: true, periods: 1 };
const off = { monitored: false, periods: 1 };

describe('monitoring', () => {
  it.each(['stop', 'delete'])(
    'starts at the first webhook and ends at the %s of the last active one',
    async (end) => {
      const account = `until-${end}`;
      const finish = (id: string) => linkup.call(end === 'stop' ? `POST /${id}/stop` : `DELETE /${id}`);
      await tenant.putAccount(account);
      expect(await usageOf(account)).toEqual({ monitored: false, periods: 0 });
      const first = await linkup.make({ account_id: account });
      expect(await usageOf(account)).toEqual(on);
      const second = await linkup.make({ account_id: account, url: 'https://hooks.example.com/' });
      await finish(first);
      expect(await usageOf(account)).toEqual(on);
      await finish(second);
      expect(await usageOf(account)).toEqual(off);
    },
  );

  it('goes on at start, and by is_active', async () => {
    await tenant.putAccount('again');
    const id = await linkup.make({ account_id: 'again' });
    await linkup.call(`PUT /${id}`, { is_active: false });
    expect(await usageOf('again')).toEqual(off);
    await linkup.call(`POST /${id}/start`);
    expect(await usageOf('again')).toEqual({ monitored: true, periods: 2 });
  });
});

describe('without credits', () => {
  it('nothing is started: 402; with credits again it is', async () => {
    const broke = await bed.api.newTenant('Broke');
    const client = new LinkupClient(bed.api.url, broke.key);
    for (const uid of ['running', 'stopped']) await broke.putAccount(uid);
    const running = await client.make({ account_id: 'running' });
    const stopped = await client.make({ account_id: 'stopped' });
    await client.call(`POST /${stopped}/stop`);
    const grant = async (monitoring_credits: number | null): Promise<void> => {
      await bed.api.operator.ask('PATCH', `/v1/tenants/${broke.id}`, { body: { monitoring_credits } });
    };
    await grant(0);
    const starts: [string, unknown, string][] = [
      [`POST /${stopped}/start`, undefined, 'start_webhook'],
      // Still active, but soon or already monitored no more.
      [`POST /${running}/start`, undefined, 'start_webhook'],
      [`PUT /${stopped}`, { is_active: true }, 'update_webhook'],
      ['POST', { account_id: 'stopped' }, 'create_webhook'],
    ];
    for (const [line, body, action] of starts) {
      expectError(await client.call(line, body), 'INSUFFICIENT_CREDITS', { action });
    }
    expect((await client.call(`GET /${stopped}`)).json.data['is_active']).toBe(false);
    await grant(null);
    for (const [line, body] of starts) expect((await client.call(line, body)).status).toBe(200);
  });

  it('a whole one must be left to start, whatever goes on goes on to the last of it', async () => {
    const poor = await bed.api.newTenant('Poor');
    const client = new LinkupClient(bed.api.url, poor.key);
    await poor.putAccount('one');
    const grant = async (monitoring_credits: number): Promise<void> => {
      await bed.api.operator.ask('PATCH', `/v1/tenants/${poor.id}`, { body: { monitoring_credits } });
    };
    await grant(0.99);
    expectError(await client.call('POST', { account_id: 'one' }), 'INSUFFICIENT_CREDITS');
    await grant(1);
    const id = await client.make({ account_id: 'one' });
    // Half a credit has been used, and half is left.
    await bed.database.query(
      `update config.monitoring_period set started_at = started_at - interval '72 minutes' where tenant = $1`,
      [poor.id],
    );
    expectError(await client.call(`POST /${id}/start`), 'INSUFFICIENT_CREDITS', { action: 'start_webhook' });
    const { monitored_since: since } = await poor.rest.ask<AccountUsage>('GET', '/v1/accounts/one/usage');
    expect(since).not.toBeNull();
    await grant(1.75);
    expect((await client.call(`POST /${id}/start`)).status).toBe(200);
    expect((await client.call(`POST /${id}/stop`)).status).toBe(200);
    await grant(1.25);
    expectError(await client.call(`POST /${id}/start`), 'INSUFFICIENT_CREDITS');
  });
});

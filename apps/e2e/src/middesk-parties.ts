import { afterAll, beforeAll } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, RestClient, seedTenant, type TenantClient } from '@posthaste/test-kit';
import { startTestStack } from './test-stack.js';

/** Where all of Middesk's calls lie. */
export const WEBHOOKS = '/v1/webhooks';
export const ACCOUNT = 'acme';

/** Those who take part where Middesk's clients make webhooks. */
export interface MiddeskParties {
  stack: Stack;
  receiver: Receiver;
  tenant: TenantClient;
  /** Holds a key of the account, and has no more rights than it needs. */
  client: RestClient;
}

/** Has the tests of a file run on one stack, with these parties, of which they are told first. */
export function withMiddeskParties(tell: (parties: MiddeskParties) => void): void {
  let stack: Stack;
  let receiver: Receiver;
  beforeAll(async () => {
    stack = await startTestStack();
    receiver = await Receiver.start();
    const tenant = await seedTenant(stack.url, stack.operatorKey);
    await tenant.putAccount(ACCOUNT);
    tell({ stack, receiver, tenant, client: (await newMiddeskKey(stack, tenant, ACCOUNT)).client });
  }, 180_000);
  afterAll(async () => {
    await stack.stop();
    await receiver.stop();
  }, 60_000);
}

/** A key as it is made for such a client, with the path it can be revoked at. */
export async function newMiddeskKey(
  stack: Stack,
  { id: tenant }: TenantClient,
  account: string,
): Promise<{ client: RestClient; path: string }> {
  const operator = new RestClient(stack.url, stack.operatorKey);
  const body = { scope: 'account', account, permissions: ['endpoints:read', 'endpoints:write'] };
  const keys = `/v1/tenants/${tenant}/keys`;
  const { id, key } = await operator.ask<{ id: string; key: string }>('POST', keys, { body });
  return { client: new RestClient(stack.url, key), path: `${keys}/${id}` };
}

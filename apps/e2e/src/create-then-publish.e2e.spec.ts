import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, seedTenant, type TenantClient } from '@posthaste/test-kit';
import { itOn, logsToTest } from './test-stack.js';

const ROUNDS = 1_000;
const LANES = 8;

describe.each(logsToTest())('an endpoint just created through another replica, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  const it = itOn(() => stack);

  beforeAll(async () => {
    stack = await start({ replicas: { managementApi: 2 } });
    receiver = await Receiver.start();
  }, 180_000);
  afterAll(async () => {
    await stack.stop();
    await receiver.stop();
  }, 60_000);

  it(`gets the very next message, ${ROUNDS} times of ${ROUNDS}`, async () => {
    const tenant = await seedTenant(stack.url, stack.operatorKey);
    expect(stack.urls).toHaveLength(2);
    const replicas = stack.urls.map((url) => tenant.through(url));
    let turn = 0;
    const next = (): TenantClient => replicas[turn++ % replicas.length] as TenantClient;
    const missed: string[] = [];

    const lane = async (lane: number): Promise<void> => {
      for (let round = lane; round < ROUNDS; round += LANES) {
        const account = `account-${round}`;
        await next().putAccount(account);
        await next().createEndpoint(account, { url: receiver.url(`/${account}`) });
        const { id, deliveries } = await next().publish(account, 'order.placed', { round });
        if (deliveries !== 1) missed.push(`${account} (${id}): ${deliveries} deliveries`);
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index)));
    expect(missed).toEqual([]);
    await receiver.whenReceived(ROUNDS, undefined, 60_000);
    expect(new Set(receiver.requests.map(({ path }) => path)).size).toBe(ROUNDS);
  }, 240_000);
});

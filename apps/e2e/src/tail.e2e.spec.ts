import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { TailedAttempt } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import { EventSource } from 'eventsource';
import { fromHistory, itOn, logsToTest } from './test-stack.js';

const ACCOUNTS = ['north', 'south', 'east'];

describe.each(logsToTest())('the tail, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  let publisher: TenantClient;
  const it = itOn(() => stack);

  beforeAll(async () => {
    stack = await start({ replicas: { managementApi: 2 } });
    receiver = await Receiver.start();
    tenant = await seedTenant(stack.url, stack.operatorKey);
    publisher = tenant.through(stack.urls[1] ?? '');
    for (const account of ACCOUNTS) {
      await tenant.putAccount(account);
      await tenant.createEndpoint(account, { url: receiver.url(`/${account}`) });
    }
  }, 180_000);
  afterAll(async () => {
    await stack.stop();
    await receiver.stop();
  }, 60_000);

  it('is followed by an EventSource while its server is killed and comes again, without loss', async () => {
    const key = tenant.key;
    const source = new EventSource(`${stack.url}/v1/tail`, {
      fetch: (input, init) =>
        fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } }),
    });
    const got: TailedAttempt[] = [];
    let places = 0;
    source.addEventListener('position', () => places++);
    source.addEventListener('message', ({ data }) => got.push(JSON.parse(data as string) as TailedAttempt));
    const published: string[] = [];
    const publish = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        const { id } = await publisher.publish(ACCOUNTS[n % ACCOUNTS.length] ?? '', 'order.placed', { n });
        published.push(id);
      }
    };
    const messages = (): Set<string> => new Set(got.map(({ message_id }) => message_id));
    const whenAllCame = (): Promise<unknown> =>
      waitFor(() => published.every((id) => messages().has(id)), {
        what: 'an attempt of every message',
        deadlineMs: 60_000,
      });
    try {
      await waitFor(() => places > 0, { deadlineMs: 30_000 });
      await publish(20);
      await whenAllCame();
      const server = stack.process('management-api');
      await server.kill('SIGKILL');
      await publish(40);
      await server.start();
      await publish(20);
      await whenAllCame();
      expect(messages().size).toBe(published.length);
      for (const { message_id } of got) expect(published).toContain(message_id);
      expect(got.length).toBeLessThan(published.length * 2);

      const { delivery_id = '', id } = got.at(-1) ?? {};
      const asked = await fromHistory(() => publisher.rest.post(`/v1/deliveries/${delivery_id}/resend`));
      expect(asked.status).toBe(202);
      await waitFor(() => got.some((one) => one.delivery_id === delivery_id && one.number === 2));
      expect(got.at(-1)).toMatchObject({ trigger: 'resend', delivery_status: 'delivered' });
      expect(got.at(-1)?.id).not.toBe(id);
    } finally {
      source.close();
    }
  }, 180_000);
});

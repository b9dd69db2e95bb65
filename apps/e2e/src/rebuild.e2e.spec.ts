import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { type TableRows, tableRows } from './table-rows.js';
import { logsToTest } from './test-stack.js';

describe.each(logsToTest())('history and due index, thrown away and read again, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  let database: pg.Client;
  let tenant: TenantClient;

  beforeAll(async () => {
    stack = await start();
    receiver = await Receiver.start();
    tenant = await seedTenant(stack.url, stack.operatorKey);
    database = new pg.Client(stack.databaseUrl);
    database.on('error', () => undefined);
    await database.connect();
  }, 180_000);
  afterAll(async () => {
    await database.end();
    await stack.stop();
    await receiver.stop();
  }, 60_000);

  /** One account for each fate of a delivery. */
  async function publishMix(): Promise<void> {
    receiver.plan({ path: '/fails', answers: [500] });
    const fates = [
      { account: 'delivered', path: '/fine', schedule: [1] },
      { account: 'retrying', path: '/fails', schedule: [86_400] },
      { account: 'exhausted', path: '/fails', schedule: [0.1] },
      { account: 'cancelled', path: '/fails', schedule: [3] },
    ];
    for (const { account, path, schedule } of fates) {
      await tenant.putAccount(account);
      const { id } = await tenant.createEndpoint(account, {
        url: receiver.url(path),
        retry_policy: { schedule_seconds: schedule },
      });
      const published = Array.from({ length: 10 }, (_, n) => tenant.publish(account, 'order.placed', { n }));
      await Promise.all(published);
      if (account !== 'cancelled') continue;
      await whenAll(account, 'retrying');
      await tenant.deleteEndpoint(id);
    }
    for (const { account } of fates) await whenAll(account, account);
  }

  const whenAll = (account: string, status: string): Promise<boolean> =>
    waitFor(
      async () => {
        const statuses = (await tenant.deliveries(account)).map((delivery) => delivery.status);
        if (statuses.length === 10 && statuses.every((one) => one === status)) return true;
        throw new Error(statuses.join(', '));
      },
      { what: `all of ${account} ${status}`, everyMs: 200, deadlineMs: 30_000 },
    );

  /** Nothing more happens: two looks, a commit interval apart, are the same. */
  async function quietRows(schemas: string[]): Promise<TableRows> {
    let before = '';
    return waitFor(
      async () => {
        const rows = await tableRows(database, schemas);
        const now = JSON.stringify(rows);
        const quiet = now === before;
        before = now;
        return quiet ? rows : undefined;
      },
      { what: 'quiet tables', everyMs: 1_500, deadlineMs: 30_000 },
    );
  }

  it('are the same rows again', async () => {
    await publishMix();
    const before = await quietRows(['history', 'schedule']);
    expect(Object.keys(before).length).toBeGreaterThan(3);
    const total = Object.values(before).flat().length;
    expect(total).toBeGreaterThan(40 + 40 + 10);

    await Promise.all([stack.process('audit-log').stop(), stack.process('retry-scheduler').stop()]);
    await database.query('drop schema history cascade; drop schema schedule cascade');
    await Promise.all([stack.process('audit-log').start(), stack.process('retry-scheduler').start()]);
    await waitFor(
      async () => {
        const rows = await tableRows(database, ['history', 'schedule']);
        return Object.values(rows).flat().length >= total;
      },
      { what: 'all rows back', everyMs: 250, deadlineMs: 60_000 },
    );
    // As many rows are not yet the same rows: later facts change earlier ones.
    expect(await quietRows(['history', 'schedule'])).toEqual(before);
  }, 180_000);
});

import { describe, expect } from '@jest/globals';
import { topics } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import type { Stack } from '@posthaste/local-stack';
import { type Receiver, type TenantClient, waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { tableRows } from './table-rows.js';
import { itOn, logsToTest, withParties } from './test-stack.js';

/** Fewer than ten failures in a row, from which on an endpoint is probed and no longer called. */
const EACH = 4;
const SCHEMAS = ['history', 'schedule'];

describe.each(logsToTest())('history and due index read again, log: $log', ({ start, openLog }) => {
  let stack: Stack;
  let receiver: Receiver;
  let database: pg.Client;
  let tenant: TenantClient;
  const it = itOn(() => stack);

  withParties(start, (parties) => ({ stack, receiver, database, tenant } = parties));

  /** One account for each fate of a delivery. */
  async function publishMix(): Promise<void> {
    receiver.plan({ path: '/fails', answers: [500] });
    const publish = async (account: string, path: string, schedule_seconds: number[]): Promise<string> => {
      await tenant.putAccount(account);
      const fields = { url: receiver.url(path), retry_policy: { schedule_seconds } };
      const { id } = await tenant.createEndpoint(account, fields);
      const published = Array.from({ length: EACH }, (_, n) =>
        tenant.publish(account, 'order.placed', { n }),
      );
      await Promise.all(published);
      return id;
    };
    const endpoint = await publish('cancelled', '/fails', [5]);
    await whenAll('cancelled', 'retrying');
    await tenant.deleteEndpoint(endpoint);
    await publish('delivered', '/fine', [1]);
    await publish('retrying', '/fails', [86_400]);
    await publish('exhausted', '/fails', [0.1]);
    const body = { mode: 'feed' };
    await tenant.putAccount('fed');
    await tenant.rest.ask('POST', '/v1/accounts/fed/endpoints', { body });
    for (let n = 0; n < EACH; n++) await tenant.publish('fed', 'order.placed', { n });
    await whenAll('fed', 'delivered');
    for (const fate of ['delivered', 'retrying', 'exhausted', 'cancelled']) await whenAll(fate, fate);
  }

  const whenAll = (account: string, status: string): Promise<boolean> =>
    waitFor(
      async () => {
        const statuses = (await tenant.deliveries(account)).map((delivery) => delivery.status);
        if (statuses.length === EACH && statuses.every((one) => one === status)) return true;
        throw new Error(statuses.join(', '));
      },
      { what: `all of ${account} ${status}`, everyMs: 100, deadlineMs: 30_000 },
    );

  /** Both projections have read the log to its end. */
  async function whenCaughtUp(log: EventLog): Promise<void> {
    const ends = (
      await Promise.all([topics.messages, topics.deliveries].map((topic) => log.admin.endOffsets(topic)))
    ).flat();
    const behind = async (schema: string, topic: string): Promise<string[]> => {
      const { rows } = await database.query<{ partition: number; next: string }>(
        `select partition, next from ${schema}.position where topic = $1`,
        [topic],
      );
      const nextOf = new Map(rows.map(({ partition, next }) => [partition, Number(next)]));
      return ends
        .filter((end) => end.topic === topic && (nextOf.get(end.partition) ?? 0) < end.offset)
        .map((end) => `${schema}: ${topic}/${end.partition} is not at ${end.offset}`);
    };
    await waitFor(
      async () => {
        const missing = [
          ...(await behind('history', topics.messages.name)),
          ...(await behind('history', topics.deliveries.name)),
          ...(await behind('schedule', topics.deliveries.name)),
        ];
        if (missing.length === 0) return true;
        throw new Error(missing.join('\n'));
      },
      { what: 'the projections at the end of the log', everyMs: 100, deadlineMs: 60_000 },
    );
  }

  it('are the same rows again', async () => {
    const log = await openLog(stack);
    await publishMix();
    await whenCaughtUp(log);
    const before = await tableRows(database, SCHEMAS);
    expect(before['history.message']).toHaveLength(5 * EACH);
    expect(before['history.delivery']).toHaveLength(5 * EACH);
    expect(before['history.feed_item']).toHaveLength(EACH);
    expect(before['history.feed_head']).toHaveLength(1);
    expect(before['history.attempt']).toHaveLength(5 * EACH);
    expect(before['schedule.due']).toHaveLength(EACH);

    await Promise.all([stack.process('audit-log').stop(), stack.process('retry-scheduler').stop()]);
    await database.query('drop schema history cascade; drop schema schedule cascade');
    await Promise.all([stack.process('audit-log').start(), stack.process('retry-scheduler').start()]);
    await whenCaughtUp(log);
    await log.close();
    // Attempts that were made long ago may be in the index for a moment, until history says so.
    const isWhole = async (): Promise<boolean> =>
      (await tableRows(database, SCHEMAS))['schedule.due']?.length === EACH;
    await waitFor(isWhole, { what: 'the due index without what is not owed', everyMs: 100 });
    expect(await tableRows(database, SCHEMAS)).toEqual(before);
    expect(receiver.requests).toHaveLength(5 * EACH);

    // Beside the live one, while everything runs.
    const url = `${stack.opsUrl('retry-scheduler')}/rebuild`;
    const ask = async (method: string): Promise<unknown> =>
      (await fetch(url, { method, headers: { 'content-type': 'application/json' } })).json();
    expect(await ask('POST')).toMatchObject({ status: 'running' });
    const end = await waitFor(
      async () => {
        const rebuild = (await ask('GET')) as { status: string };
        return rebuild.status === 'running' ? undefined : rebuild;
      },
      { what: 'the end of the rebuild', everyMs: 100 },
    );
    expect(end).toMatchObject({
      status: 'completed',
      tables: [{ table: 'due', live: EACH, rebuilt: EACH, missing: 0 }],
    });
    expect(await tableRows(database, SCHEMAS)).toEqual(before);
  }, 180_000);
});

import { describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { type Receiver, type TenantClient, waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { Webhook } from 'standardwebhooks';
import { itOn, logsToTest, withParties } from './test-stack.js';

const PENDING = 10_000;
const BATCH = 100;

describe.each(logsToTest())('an endpoint that goes away, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  let database: pg.Client;
  let tenant: TenantClient;
  const it = itOn(() => stack);

  withParties(start, (parties) => ({ stack, receiver, database, tenant } = parties));

  it('by answering 410 is disabled, what it was owed is cancelled, and operators are told by webhook', async () => {
    await tenant.rest.ask('PUT', '/v1/accounts/ops', { body: { receives_operator_events: true } });
    const event_types = ['endpoint.disabled'];
    const operators = await tenant.createEndpoint('ops', { url: receiver.url('/ops'), event_types });
    await tenant.putAccount('leaving');
    const answers = [500, 500, 500, { status: 410 }, 200];
    receiver.plan({ path: '/leaving', answers });
    const fields = { url: receiver.url('/leaving'), retry_policy: { schedule_seconds: [8] } };
    const endpoint = await tenant.createEndpoint('leaving', fields);
    for (let n = 1; n <= 4; n++) {
      await tenant.publish('leaving', 'order.placed', { n });
      await receiver.whenReceived(n, ({ path }) => path === '/leaving');
    }
    const [told] = await receiver.whenReceived(1, ({ path }) => path === '/ops');
    const verified = new Webhook(await tenant.secretOf(operators.id)).verify(
      String(told?.body),
      told?.headers as Record<string, string>,
    );
    expect(verified).toMatchObject({
      type: 'endpoint.disabled',
      timestamp: expect.any(String),
      data: { endpoint_id: endpoint.id, reason: 'gone' },
    });
    const shown = await tenant.rest.ask('GET', `/v1/endpoints/${endpoint.id}`);
    expect(shown).toMatchObject({ enabled: false, disabled_reason: 'gone', version: 2 });
    const deliveries = await waitFor(
      async () => {
        const all = await tenant.deliveries('leaving');
        if (all.every(({ status }) => status === 'cancelled')) return all;
        throw new Error(JSON.stringify(all.map(({ status }) => status)));
      },
      { what: 'all cancelled', everyMs: 200, deadlineMs: 30_000 },
    );
    const reasons = deliveries.map(({ reason, attempts }) => `${reason} after ${attempts}`).sort();
    const others = Array.from({ length: 3 }, () => 'endpoint_disabled after 1');
    expect(reasons).toEqual([...others, 'endpoint_gone after 1']);
    expect(receiver.at('/leaving')).toHaveLength(4);
  });

  /** How many deliveries of the endpoint have each status. */
  async function statuses(endpoint: string): Promise<Record<string, number>> {
    const { rows } = await database.query<{ status: string; count: number }>(
      'select status, count(*)::int as count from history.delivery where endpoint = $1 group by 1 order by 1',
      [endpoint],
    );
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
  }

  /** The time of the last attempt to the endpoint, ms since 1970. */
  async function lastAttemptAt(endpoint: string): Promise<number> {
    const { rows } = await database.query<{ at: string | null }>(
      `select max(a.started_at) as at from history.attempt a join history.delivery d on d.id = a.delivery
        where d.endpoint = $1`,
      [endpoint],
    );
    return Number(rows[0]?.at);
  }

  /** Configuration is followed in order: who sends to this endpoint knows all that was changed before. Answers when. */
  async function whenChangesAreKnown(): Promise<number> {
    const marker = 'afterwards';
    await tenant.putAccount(marker);
    const { id } = await tenant.createEndpoint(marker, { url: receiver.url(`/${marker}`) });
    await tenant.publish(marker, 'order.placed', {});
    await receiver.whenReceived(1, ({ path }) => path === `/${marker}`);
    await waitFor(async () => (await statuses(id)).delivered === 1);
    return lastAttemptAt(id);
  }

  type Change = 'disabled' | 'deleted';

  /** An endpoint that fails, with so many deliveries that were tried or put off and are owed an attempt. */
  async function pendingEndpoint(account: Change, pending: number): Promise<string> {
    await tenant.putAccount(account);
    receiver.plan({ path: `/${account}`, answers: [500] });
    const fields = { url: receiver.url(`/${account}`), retry_policy: { schedule_seconds: [20, 20] } };
    const { id } = await tenant.createEndpoint(account, fields);
    const body = {
      messages: Array.from({ length: BATCH }, () => ({ event_type: 'order.placed', payload: {} })),
    };
    for (let sent = 0; sent < pending; sent += BATCH) {
      await tenant.rest.ask('POST', `/v1/accounts/${account}/messages/batch`, { body });
    }
    await waitFor(
      async () => {
        const { retrying = 0, deferred = 0, ...others } = await statuses(id);
        if (retrying + deferred === pending) return true;
        throw new Error(JSON.stringify({ retrying, deferred, ...others }));
      },
      { what: 'all pending', everyMs: 200, deadlineMs: 60_000 },
    );
    return id;
  }

  async function allAreCancelled(endpoint: string, change: Change, pending: number): Promise<void> {
    await waitFor(
      async () => {
        const counts = await statuses(endpoint);
        if (counts.cancelled === pending) return true;
        throw new Error(JSON.stringify(counts));
      },
      { what: `all ${change} cancelled`, everyMs: 500, deadlineMs: 90_000 },
    );
    const path = `/v1/accounts/${change}/deliveries?limit=1`;
    const { data } = await tenant.rest.ask<{ data: unknown[] }>('GET', path);
    expect(data).toMatchObject([{ status: 'cancelled', reason: `endpoint_${change}` }]);
  }

  it('by being disabled or deleted is sent nothing more, and all that was pending is shown as cancelled', async () => {
    const few = PENDING / 20;
    const [off, deleted] = await Promise.all([
      pendingEndpoint('disabled', PENDING),
      pendingEndpoint('deleted', few),
    ]);
    await tenant.rest.ask('POST', `/v1/endpoints/${off}/disable`, {});
    await tenant.deleteEndpoint(deleted);
    const knownAt = await whenChangesAreKnown();
    await allAreCancelled(off, 'disabled', PENDING);
    await allAreCancelled(deleted, 'deleted', few);
    expect(await lastAttemptAt(off)).toBeLessThanOrEqual(knownAt);
    expect(await lastAttemptAt(deleted)).toBeLessThanOrEqual(knownAt);
  }, 240_000);
});

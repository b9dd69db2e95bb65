import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, RestClient, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { type BadRequest, badRequests, type Surroundings } from './bad-requests.js';
import { type TableRows, tableRows } from './table-rows.js';
import { startTestStack } from './test-stack.js';

interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id: string;
  errors?: { pointer: string; code: string; message: string }[];
}

describe('bad input', () => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  let surroundings: Surroundings;
  let database: pg.Client;
  let before: TableRows;

  beforeAll(async () => {
    stack = await startTestStack();
    receiver = await Receiver.start();
    tenant = await seedTenant(stack.url, stack.operatorKey);
    const other = await seedTenant(stack.url, stack.operatorKey, 'other');
    surroundings = await surroundingsOf(tenant, other);
    database = new pg.Client(stack.databaseUrl);
    database.on('error', () => undefined);
    await database.connect();
    before = await lastingRows();
  }, 120_000);
  afterAll(async () => {
    await database.end();
    await stack.stop();
    await receiver.stop();
  }, 60_000);

  /** One delivered message each, and what else bad requests refer to. */
  async function surroundingsOf(mine: TenantClient, other: TenantClient): Promise<Surroundings> {
    const [here, there] = await Promise.all([oneDelivery(mine, 'here'), oneDelivery(other, 'there')]);
    await mine.putAccount('elsewhere');
    const operator = new RestClient(stack.url, stack.operatorKey);
    const keys = `/v1/tenants/${mine.id}/keys`;
    const newKey = (body: object): Promise<{ id: string; key: string }> =>
      operator.ask('POST', keys, { body });
    const revoked = await newKey({ scope: 'tenant' });
    // Used once, so that a cache would hold it.
    await new RestClient(stack.url, revoked.key).ask('POST', '/v1/accounts/here/messages', {
      body: { event_type: 'a.b', payload: {} },
    });
    await operator.ask('DELETE', `${keys}/${revoked.id}`);
    await waitFor(() => receiver.requests.length >= 3, { what: 'the last good message' });
    const page = await mine.rest.ask<{ next_cursor: string }>('GET', '/v1/accounts?limit=1');
    return {
      tenantId: mine.id,
      otherTenantId: other.id,
      keyId: mine.keyId,
      endpointId: here.endpointId,
      deliveryId: here.deliveryId,
      messageId: here.messageId,
      foreignEndpointId: there.endpointId,
      foreignAccountId: there.accountId,
      foreignMessageId: there.messageId,
      foreignDeliveryId: there.deliveryId,
      accountsCursor: page.next_cursor,
      revokedKey: revoked.key,
      accountKey: (await newKey({ scope: 'account', account: 'here' })).key,
    };
  }

  async function oneDelivery(
    client: TenantClient,
    account: string,
  ): Promise<{ accountId: string; endpointId: string; messageId: string; deliveryId: string }> {
    const { id: accountId } = await client.putAccount(account);
    const { id: endpointId } = await client.createEndpoint(account, { url: receiver.url(`/${account}`) });
    const { id: messageId } = await client.publish(account, 'order.placed', {});
    const delivery = await waitFor(async () => (await client.deliveries(account))[0], { what: 'a delivery' });
    return { accountId, endpointId, messageId, deliveryId: delivery.id };
  }

  /** All that a refused request must not touch: configuration, audit, idempotency keys, and what was published. */
  async function lastingRows(): Promise<TableRows> {
    const rows = await tableRows(database, ['config']);
    // The relay empties it in its own time.
    delete rows['config.outbox'];
    return rows;
  }

  function clientFor(as: BadRequest['as']): RestClient {
    if (as === undefined) return tenant.rest;
    if (as === 'nobody') return new RestClient(stack.url);
    return new RestClient(stack.url, as === 'operator' ? stack.operatorKey : as.key);
  }

  it.each(badRequests)('%s -> %s', async (_, refusal, request) => {
    const { method, path, body, headers, as } = request(surroundings);
    const answer = await clientFor(as).send<Problem>(method, path, { body, ...(headers ? { headers } : {}) });
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    const { status, type, title, detail, code, errors = [], request_id } = answer.json;
    const said = errors.map(({ pointer, code: rule }) => `${pointer || '(body)'} ${rule}`);
    expect([answer.status, code, ...said].join(' ')).toBe(refusal);
    expect({ status, type }).toEqual({
      status: answer.status,
      type: `https://posthaste.dev/problems/${code}`,
    });
    expect([title, detail, ...errors.map(({ message }) => message)]).not.toContain('');
    expect(request_id).toBe(answer.headers.get('x-request-id'));
    if (status === 401) expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    if (status === 405) expect(answer.headers.get('allow')).toBeTruthy();
  });

  it("answers a foreign tenant's things exactly as it answers what does not exist", async () => {
    const shapeOf = async (path: string): Promise<unknown> => {
      const { status, json } = await tenant.rest.send<Problem>('GET', path);
      return { status, code: json.code, title: json.title, detail: json.detail, errors: json.errors };
    };
    const { foreignEndpointId, foreignMessageId, foreignDeliveryId } = surroundings;
    for (const [kind, id] of [
      ['endpoints', foreignEndpointId],
      ['messages', foreignMessageId],
      ['deliveries', foreignDeliveryId],
    ] as const) {
      const absent = id.replace(/_.*/, '_000000000000000000000000000');
      expect(await shapeOf(`/v1/${kind}/${id}`)).toEqual(await shapeOf(`/v1/${kind}/${absent}`));
    }
  });

  it('left nothing behind: no row of the configuration changed, and nothing more was delivered', async () => {
    expect(await lastingRows()).toEqual(before);
    await tenant.publish('here', 'order.placed', { last: true });
    await receiver.whenReceived(1, ({ body }) => body.includes('"last"'));
    expect(receiver.requests).toHaveLength(4);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type DeliveryEvent,
  type HistoryDelivery,
  type HistoryMessage,
  newId,
  topics,
} from '@posthaste/contracts';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import { waitFor } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// What is asked of audit-log in a caller's name, and what becomes of its answers. The real one is proven end to end.

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;
let accountClient: RestClient;
let account: string;
let endpoint: string;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant();
  account = (await tenant.putAccount('acme')).id;
  await tenant.putAccount('other');
  const url = 'https://receiver.example/';
  const made = await tenant.rest.post<{ id: string }>('/v1/accounts/acme/endpoints', { url, uid: 'main' });
  endpoint = made.json.id;
  accountClient = await bed.api.accountClient(tenant, 'other');
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => {
  history.asked.length = 0;
  for (const method of Object.keys(history.replies)) delete history.replies[method];
});

const at = Date.parse('2026-01-02T03:04:05.678Z');
const messageRow = (more: Partial<HistoryMessage> = {}): HistoryMessage => ({
  id: newId('message', at),
  tenant: tenant.id,
  account,
  event_type: 'a.b',
  channels: [],
  tags: ['t'],
  content_type: 'application/json',
  accepted_at: at,
  config_version: 3,
  payload_bytes: 2,
  deliveries: 1,
  ...more,
});
const deliveryRow = (): HistoryDelivery => ({
  id: newId('delivery', at),
  message: newId('message', at),
  tenant: tenant.id,
  account,
  endpoint,
  event_type: 'a.b',
  status: 'pending',
  attempts: 0,
  accepted_at: at,
});

describe('a read', () => {
  it("is asked within the key's tenant, and shown in the words of the API", async () => {
    const row = messageRow();
    history.replies['GetMessage'] = () => ({ message: row });
    const { status, json } = await tenant.rest.get(`/v1/messages/${row.id}`);
    expect(history.asked).toEqual([{ method: 'GetMessage', request: { tenant: tenant.id, id: row.id } }]);
    expect(status).toBe(200);
    expect(json).toEqual({
      id: row.id,
      account_id: account,
      event_type: 'a.b',
      channels: [],
      tags: ['t'],
      content_type: 'application/json',
      payload_bytes: 2,
      payload_shredded_at: null,
      accepted_at: '2026-01-02T03:04:05.678Z',
      config_version: 3,
      stale_config: false,
      deliveries: 1,
    });
  });

  it('of what history has not yet is made once more as of now, and of what was never there only once', async () => {
    const now = Date.now();
    const row = messageRow({ id: newId('message', now) });
    history.replies['GetMessage'] = ({ as_of_now }) => (as_of_now === true ? { message: row } : {});
    expect((await tenant.rest.get(`/v1/messages/${row.id}`)).status).toBe(200);
    const late = { ...deliveryRow(), id: newId('delivery', now) };
    history.replies['GetDelivery'] = ({ as_of_now }) => (as_of_now === true ? { delivery: late } : {});
    expect((await tenant.rest.get(`/v1/deliveries/${late.id}`)).status).toBe(200);
    expect((await accountClient.get(`/v1/deliveries/${late.id}`)).status).toBe(404);

    history.asked.length = 0;
    expect((await tenant.rest.get(`/v1/messages/${newId('message', now - 120_000)}`)).status).toBe(404);
    expect((await tenant.rest.get(`/v1/messages/${newId('delivery', now)}`)).status).toBe(404);
    expect(history.asked).toHaveLength(1);
  });

  it('of what history would have to be further for is refused for the moment', async () => {
    history.replies['GetMessage'] = ({ as_of_now }) => {
      if (as_of_now === true) throw new Error('history is behind the log');
      return {};
    };
    const answer = await tenant.rest.get(`/v1/messages/${newId('message')}`);
    expect(refusalOf(answer)).toEqual([503, 'unavailable']);
  });

  it("of another account's things finds nothing, even when audit-log has them", async () => {
    const [message, delivery] = [messageRow(), deliveryRow()];
    history.replies['GetMessage'] = () => ({ message });
    history.replies['GetDelivery'] = () => ({ delivery });
    for (const path of [
      `messages/${message.id}`,
      `messages/${message.id}/payload`,
      `messages/${message.id}/deliveries`,
      `deliveries/${delivery.id}`,
      `deliveries/${delivery.id}/attempts`,
    ]) {
      expect([path, ...refusalOf(await accountClient.get(`/v1/${path}`))]).toEqual([
        path,
        404,
        'not_found',
        ':id absent',
      ]);
    }
    expect((await accountClient.get('/v1/accounts/acme/messages')).status).toBe(404);
    expect((await accountClient.get('/v1/accounts/acme/deliveries')).status).toBe(404);
    expect(new Set(history.asked.map(({ method }) => method))).toEqual(
      new Set(['GetMessage', 'GetDelivery']),
    );
  });

  it('of an attempt tells how the connection was made, and what is not known as null', async () => {
    const delivery = deliveryRow();
    const attempt = {
      id: 'att_1',
      delivery: delivery.id,
      number: 1,
      trigger: 'publish',
      started_at: at,
      duration_ms: 9,
      outcome: 'failed',
      error_class: 'timeout',
      error_message: 'slow',
      request_url: 'https://a.example/',
      request_headers_json: '{}',
      address: '93.184.215.14:443',
      tls_json: '{"version":"TLSv1.3","certificate":"a.example"}',
      timings_json: '{"dnsMs":1,"connectMs":4,"tlsMs":2,"totalMs":9}',
      endpoint_version: 1,
      profile: 'standard',
    };
    const plain = { ...attempt, id: 'att_2', number: 2, tls_json: undefined, timings_json: '{"totalMs":9}' };
    history.replies['GetDelivery'] = () => ({ delivery });
    history.replies['ListAttempts'] = () => ({ data: [attempt, plain] });
    const { status, json } = await tenant.rest.get(`/v1/deliveries/${delivery.id}/attempts`);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      data: [
        {
          tls: { version: 'TLSv1.3', certificate: 'a.example' },
          timings: { dns_ms: 1, connect_ms: 4, tls_ms: 2, first_byte_ms: null, total_ms: 9 },
        },
        { tls: null, timings: { dns_ms: null, connect_ms: null, tls_ms: null, total_ms: 9 } },
      ],
    });
  });

  it('of a payload gives its bytes, as a download that runs nowhere', async () => {
    const row = messageRow({ content_type: 'text/html' });
    const payload = Buffer.from('<script>alert(1)</script>\xff', 'latin1');
    history.replies['GetMessage'] = () => ({ message: row });
    history.replies['GetPayload'] = () => ({ payload, content_type: 'text/html' });
    const { bytes, headers } = await tenant.rest.get(`/v1/messages/${row.id}/payload`);
    expect(bytes.equals(payload)).toBe(true);
    expect(headers.get('content-type')).toBe('text/html');
    expect(headers.get('content-disposition')).toBe(`attachment; filename="${row.id}"`);
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    history.replies['GetPayload'] = () => ({});
    expect((await tenant.rest.get(`/v1/messages/${row.id}/payload`)).status).toBe(404);
  });
});

describe('a cancellation', () => {
  it('is an event in the log and an audit entry, once its delivery may be cancelled', async () => {
    const row = { ...deliveryRow(), status: 'retrying', attempts: 3 };
    history.replies['GetDelivery'] = () => ({ delivery: row });
    const { status, json } = await tenant.rest.post(`/v1/deliveries/${row.id}/cancel`);
    expect([status, json]).toMatchObject([202, { id: row.id, status: 'retrying' }]);
    const told: DeliveryEvent[] = [];
    const following = await bed.log.reader.follow(topics.deliveries, (record) => {
      told.push(topics.deliveries.decode(record));
    });
    await waitFor(() => told.length > 0);
    await following.close();
    expect(told).toMatchObject([
      { type: 'DeliveryCancelled', delivery: row.id, account, endpoint, attempt: 4, reason: 'requested' },
    ]);
    const { rows } = await bed.database.query<{ entry: unknown }>(
      `select entry from config.audit_entry where entry->>'action' = 'delivery.cancelled'`,
    );
    expect(rows).toMatchObject([{ entry: { entity: { kind: 'delivery', id: row.id } } }]);
  });

  it.each(['delivered', 'cancelled'])('of a delivery that is %s is refused', async (status) => {
    const row = { ...deliveryRow(), status };
    history.replies['GetDelivery'] = () => ({ delivery: row });
    const answer = await tenant.rest.post(`/v1/deliveries/${row.id}/cancel`);
    expect(refusalOf(answer)).toEqual([409, 'conflict', ':id settled']);
  });

  it("of another account's delivery is refused as if it were not there", async () => {
    const row = deliveryRow();
    history.replies['GetDelivery'] = () => ({ delivery: row });
    const answer = await accountClient.post(`/v1/deliveries/${row.id}/cancel`);
    expect(refusalOf(answer)).toEqual([404, 'not_found', ':id absent']);
  });
});

describe('a resend', () => {
  beforeEach(() => {
    history.replies['GetMessage'] = () => ({ message: messageRow() });
  });

  it('of a message whose payload was shredded is refused', async () => {
    const row = { ...deliveryRow(), status: 'delivered', attempts: 2 };
    history.replies['GetDelivery'] = () => ({ delivery: row });
    history.replies['GetMessage'] = () => ({ message: messageRow({ shredded_at: at }) });
    const answer = await tenant.rest.post(`/v1/deliveries/${row.id}/resend`);
    expect(refusalOf(answer)).toEqual([409, 'conflict', ':id not_sendable']);
  });

  it('is a request in the log for the next attempt, and an audit entry', async () => {
    const row = { ...deliveryRow(), status: 'delivered', attempts: 2 };
    history.replies['GetDelivery'] = () => ({ delivery: row });
    const { status, json } = await tenant.rest.post(`/v1/deliveries/${row.id}/resend`);
    expect([status, json]).toMatchObject([202, { id: row.id, status: 'delivered' }]);
    const told: DeliveryEvent[] = [];
    const following = await bed.log.reader.follow(topics.deliveries, (record) => {
      const event = topics.deliveries.decode(record);
      if (event.delivery === row.id) told.push(event);
    });
    await waitFor(() => told.length > 0);
    await following.close();
    expect(told).toMatchObject([
      { type: 'DeliveryRequested', account, endpoint, attempt: 3, trigger: 'resend', by: tenant.keyId },
    ]);
    const { rows } = await bed.database.query<{ entry: unknown }>(
      `select entry from config.audit_entry where entry->>'action' = 'delivery.resent'`,
    );
    expect(rows).toMatchObject([
      { entry: { entity: { kind: 'delivery', id: row.id }, actor: tenant.keyId } },
    ]);
  });

  it('of a delivery that was settled a moment ago is made', async () => {
    const row = { ...deliveryRow(), attempts: 1 };
    history.replies['GetDelivery'] = ({ as_of_now }) => ({
      delivery: { ...row, status: as_of_now === true ? 'delivered' : 'pending' },
    });
    const { status, json } = await tenant.rest.post(`/v1/deliveries/${row.id}/resend`);
    expect([status, json]).toMatchObject([202, { id: row.id, status: 'delivered' }]);
  });

  it.each(['pending', 'retrying', 'deferred'])('of a delivery that is %s is refused', async (status) => {
    const row = { ...deliveryRow(), status };
    history.replies['GetDelivery'] = () => ({ delivery: row });
    const answer = await tenant.rest.post(`/v1/deliveries/${row.id}/resend`);
    expect(refusalOf(answer)).toEqual([409, 'conflict', ':id owed']);
  });

  it('to an endpoint that is disabled, gone, or a feed is refused, and of what is not within reach', async () => {
    const make = async (fields: object): Promise<string> =>
      (await tenant.rest.post<{ id: string }>('/v1/accounts/other/endpoints', fields)).json.id;
    const disabled = await make({ url: 'https://receiver.example/', enabled: false });
    const feed = await make({ mode: 'feed' });
    const row = { ...deliveryRow(), status: 'exhausted', attempts: 1 };
    for (const leadsTo of [disabled, feed, newId('endpoint')]) {
      history.replies['GetDelivery'] = () => ({ delivery: { ...row, endpoint: leadsTo } });
      const answer = await tenant.rest.post(`/v1/deliveries/${row.id}/resend`);
      expect([leadsTo, ...refusalOf(answer)]).toEqual([leadsTo, 409, 'conflict', ':id not_sendable']);
    }
    history.replies['GetDelivery'] = () => ({ delivery: row });
    const answer = await accountClient.post(`/v1/deliveries/${row.id}/resend`);
    expect(refusalOf(answer)).toEqual([404, 'not_found', ':id absent']);
  });
});

describe('shredding a payload', () => {
  const shred = (id: string, client = tenant.rest) => client.delete(`/v1/messages/${id}/payload`);
  const audited = async (id: string): Promise<unknown[]> => {
    const { rows } = await bed.database.query<{ entry: unknown }>(
      `select entry from config.audit_entry where entry->'entity'->>'id' = $1`,
      [id],
    );
    return rows.map(({ entry }) => entry);
  };

  it('is asked of audit-log in the name of the key, and audited', async () => {
    const row = messageRow();
    history.replies['GetMessage'] = () => ({ message: row });
    history.replies['ShredPayload'] = () => ({ found: true });
    expect((await shred(row.id)).status).toBe(204);
    expect(history.asked.at(-1)).toEqual({
      method: 'ShredPayload',
      request: { tenant: tenant.id, id: row.id, by: tenant.keyId },
    });
    expect(await audited(row.id)).toMatchObject([
      { action: 'message.payload_shredded', actor: tenant.keyId, entity: { kind: 'message' } },
    ]);
    history.replies['GetMessage'] = () => ({ message: { ...row, shredded_at: at } });
    const { json } = await tenant.rest.get(`/v1/messages/${row.id}`);
    expect(json).toMatchObject({ payload_bytes: 2, payload_shredded_at: '2026-01-02T03:04:05.678Z' });
  });

  it('is refused, and not audited, while deliveries are open, out of reach, or while audit-log is away', async () => {
    const row = messageRow();
    history.replies['GetMessage'] = () => ({ message: row });
    history.replies['ShredPayload'] = () => ({ found: true, open: 2 });
    expect(refusalOf(await shred(row.id))).toEqual([409, 'conflict', ':id owed']);
    expect(refusalOf(await shred(row.id, accountClient))).toEqual([404, 'not_found', ':id absent']);
    expect(refusalOf(await shred('msg_none'))).toEqual([404, 'not_found', ':id absent']);
    history.replies['ShredPayload'] = () => {
      throw new Error('connect ECONNREFUSED');
    };
    expect(refusalOf(await shred(row.id))).toEqual([503, 'unavailable']);
    expect(await audited(row.id)).toEqual([]);
  });
});

describe('a list', () => {
  it('goes on where its cursor says, under the same filters only', async () => {
    const rows = [deliveryRow(), deliveryRow()];
    history.replies['ListDeliveries'] = () => ({ data: rows, has_more: true });
    const path =
      '/v1/accounts/acme/deliveries?limit=2&status=pending&endpoint_id=main&since=2026-01-01T00:00:00%2B01:00';
    const { json } = await tenant.rest.get<{ next_cursor: string; has_more: boolean }>(path);
    expect(json.has_more).toBe(true);
    await tenant.rest.get(`${path}&cursor=${json.next_cursor}`);
    const filter = {
      tenant: tenant.id,
      account,
      endpoint,
      status: 'pending',
      since: Date.UTC(2025, 11, 31, 23),
    };
    expect(history.asked.map(({ request }) => request)).toEqual([
      { ...filter, page: { limit: 2 } },
      { ...filter, page: { limit: 2, after_at: at, after_id: rows[1]?.id } },
    ]);
    const refused = [400, 'invalid_cursor', '?cursor invalid_cursor'];
    for (const other of [
      path.replace('pending', 'delivered'),
      path.replace('acme', 'other').replace('&endpoint_id=main', ''),
    ]) {
      expect(refusalOf(await tenant.rest.get(`${other}&cursor=${json.next_cursor}`))).toEqual(refused);
    }
    expect(history.asked).toHaveLength(2);
  });
});

describe('while audit-log is away', () => {
  const unavailable = [503, 'unavailable'];

  it('reads say so, and work again when it is back', async () => {
    const row = messageRow();
    history.replies['GetMessage'] = () => ({ message: row });
    const read = () => tenant.rest.get(`/v1/messages/${row.id}`);
    expect((await read()).status).toBe(200);
    history.stop();
    expect(refusalOf(await read())).toEqual(unavailable);
    expect((await tenant.publish('acme', 'a.b', {})).deliveries).toBe(1);
    await history.start();
    await waitFor(async () => (await read()).status === 200, { what: 'history to be readable again' });
  });

  it('or has lost its own database, or does not answer at all, likewise', async () => {
    history.replies['GetMessage'] = () => {
      throw new Error('connect ECONNREFUSED 10.0.0.7:5432');
    };
    const lost = await tenant.rest.get(`/v1/messages/${newId('message')}`);
    expect(refusalOf(lost)).toEqual(unavailable);
    expect(lost.bytes.toString()).not.toContain('10.0.0.7');
    // No reply is scripted for it: the deadline ends the wait.
    expect(refusalOf(await tenant.rest.get(`/v1/deliveries/${newId('delivery')}`))).toEqual(unavailable);
  }, 15_000);
});

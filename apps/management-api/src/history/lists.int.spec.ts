import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type HistoryAttempt, newId } from '@posthaste/contracts';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// How filters are asked for, and what of them reaches audit-log, which is where they are proven.

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;
let stranger: RestClient;
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
  stranger = await bed.api.accountClient(tenant, 'other');
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => {
  history.asked.length = 0;
  for (const method of ['ListMessages', 'ListDeliveries', 'ListAccountAttempts']) {
    history.replies[method] = () => ({ data: [] });
  }
});

const at = Date.parse('2026-01-02T03:04:05.678Z');
const common = { event_type: 'a.b', channel: 'blue', tag: 'x & "y"' };
const range = { since: '2026-01-02T03:04:05.678Z', until: '2026-01-02T04:04:06+01:00' };
const rangeMs = { since: at, until: at + 322 };
const prefix = (kind: 'message' | 'delivery' | 'attempt'): string => newId(kind, at).slice(0, 12);
const ids = { message: prefix('message'), delivery: prefix('delivery'), attempt: prefix('attempt') };

describe.each([
  {
    list: 'messages',
    method: 'ListMessages',
    asked: { ...common, ...range, id_prefix: ids.message, payload: '$.order["id"]="7"' },
    heard: {
      ...common,
      ...rangeMs,
      id_prefix: ids.message,
      payload: { path: ['order', 'id'], value_json: '"7"' },
    },
    wrong: { status: 'pending', endpoint_id: 'main', id_prefix: ids.delivery, channel: '', tag: 'a,b' },
  },
  {
    list: 'deliveries',
    method: 'ListDeliveries',
    asked: {
      ...common,
      ...range,
      id_prefix: ids.delivery,
      status: 'retrying',
      error_class: 'timeout',
      status_code: '503',
    },
    heard: {
      ...common,
      ...rangeMs,
      id_prefix: ids.delivery,
      status: 'retrying',
      error_class: 'timeout',
      status_code: 503,
    },
    wrong: {
      payload: '$.a=1',
      status: 'sent',
      error_class: 'slow',
      status_code: '99',
      id_prefix: 'dlv_short',
    },
  },
  {
    list: 'attempts',
    method: 'ListAccountAttempts',
    asked: {
      ...common,
      ...range,
      id_prefix: ids.attempt,
      outcome: 'failed',
      error_class: 'dns',
      status_code: '410',
    },
    heard: {
      ...common,
      ...rangeMs,
      id_prefix: ids.attempt,
      outcome: 'failed',
      error_class: 'dns',
      status_code: 410,
    },
    wrong: { payload: '$.a=1', status: 'pending', outcome: 'delivered', status_code: 'x', since: 'today' },
  },
])('the list of $list', ({ list, method, asked, heard, wrong }) => {
  const path = `/v1/accounts/acme/${list}`;

  it('asks for every filter alone, and for all of them together', async () => {
    const all = new URLSearchParams(asked as Record<string, string>);
    const queries = [...[...all].map((one) => new URLSearchParams([one])), all];
    for (const query of queries) {
      expect((await tenant.rest.get(`${path}?${query.toString()}`)).status).toBe(200);
    }
    const expected = queries.map((query) => ({
      method,
      request: {
        ...{ tenant: tenant.id, account, page: { limit: 50 } },
        ...Object.fromEntries(Object.entries(heard).filter(([name]) => query.has(name))),
      },
    }));
    expect(history.asked).toEqual(expected);
  });

  it.each(Object.entries<string | undefined>(wrong))(
    'refuses %s=%s, and asks for nothing',
    async (name, value) => {
      const answer = await tenant.rest.get(
        `${path}?${new URLSearchParams({ [name]: String(value) }).toString()}`,
      );
      const [status, code, error] = refusalOf(answer);
      expect([status, code, String(error).split(' ')[0]]).toEqual([400, 'invalid_request', `?${name}`]);
      expect(history.asked).toEqual([]);
    },
  );

  it('goes on where a search stopped, even when it found nothing yet', async () => {
    history.replies[method] = () => ({ data: [], has_more: true, reached_at: at, reached_id: 'x_1' });
    const first = await tenant.rest.get<{ next_cursor: string }>(`${path}?tag=rare`);
    expect(first.json).toMatchObject({
      data: [],
      has_more: true,
      next_cursor: expect.any(String) as unknown,
    });
    await tenant.rest.get(`${path}?tag=rare&cursor=${first.json.next_cursor}`);
    expect(history.asked[1]?.request['page']).toEqual({ limit: 50, after_at: at, after_id: 'x_1' });
    const other = await tenant.rest.get(`${path}?tag=blue&cursor=${first.json.next_cursor}`);
    expect(refusalOf(other)).toEqual([400, 'invalid_cursor', '?cursor invalid_cursor']);
  });

  it("shows nothing of another account to an account's key", async () => {
    expect(refusalOf(await stranger.get(path))).toEqual([404, 'not_found', ':account absent']);
    expect(history.asked).toEqual([]);
  });
});

describe('a filter by payload', () => {
  it('that is no path is refused, and named', async () => {
    const answer = await tenant.rest.get('/v1/accounts/acme/messages?payload=order.id%3D42');
    expect(refusalOf(answer)).toEqual([422, 'validation_failed', '?payload bad_path']);
    expect(history.asked).toEqual([]);
  });
});

describe('the attempts of an account', () => {
  it('say which delivery and endpoint they were of, and are found by the own uid of an endpoint', async () => {
    const attempt: HistoryAttempt = {
      id: newId('attempt', at),
      delivery: newId('delivery', at),
      endpoint,
      number: 2,
      trigger: 'retry',
      started_at: at,
      duration_ms: 7,
      outcome: 'failed',
      error_class: 'timeout',
      error_message: 'slow',
      request_url: 'https://a.example/',
      request_headers_json: '{}',
      timings_json: '{"totalMs":7}',
      endpoint_version: 1,
      profile: 'standard',
    };
    history.replies['ListAccountAttempts'] = () => ({ data: [attempt] });
    const { json } = await tenant.rest.get('/v1/accounts/acme/attempts?endpoint_id=main');
    expect(json).toMatchObject({
      data: [
        { id: attempt.id, delivery_id: attempt.delivery, endpoint_id: endpoint, error: { class: 'timeout' } },
      ],
      has_more: false,
    });
    expect(history.asked[0]?.request).toMatchObject({ tenant: tenant.id, account, endpoint });
  });
});

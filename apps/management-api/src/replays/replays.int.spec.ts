import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { deliveryId, type HistoryReplay, newId, type Replay } from '@posthaste/contracts';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// What is asked of audit-log for a replay, and what becomes of its answers. The real one is proven end to end.

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;
let other: RestClient;
let account: string;
let endpoint: string;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant();
  account = (await tenant.putAccount('acme')).id;
  await tenant.putAccount('other');
  endpoint = (await tenant.createEndpoint('acme', { url: 'https://receiver.example/' })).id;
  other = await bed.api.accountClient(tenant, 'other');
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => {
  history.asked.length = 0;
  for (const method of Object.keys(history.replies)) delete history.replies[method];
  history.replies['StartReplay'] = (request) => ({
    replay: rowOf({ endpoint: undefined, ...request }),
    sample: ['dlv_1'],
  });
});

const at = Date.parse('2026-01-02T03:04:05.678Z');
const since = '2026-01-01T00:00:00.000Z';
const rowOf = (request: Partial<HistoryReplay> = {}) =>
  ({
    id: newId('replay', at),
    tenant: tenant.id,
    account,
    endpoint,
    since: Date.parse(since),
    until: at,
    kind: 'recover',
    filter: { statuses: [], event_types: [], channels: [] },
    rate_per_second: 100,
    by: tenant.keyId,
    created_at: at,
    status: 'running',
    total: 250,
    ...request,
  }) as HistoryReplay;
const actions = async (): Promise<string[]> => {
  const { rows } = await bed.database.query<{ action: string }>(
    `select entry->>'action' as action from config.audit_entry
     where entry->'entity'->>'kind' = 'replay' order by at`,
  );
  return rows.map(({ action }) => action);
};

describe('a replay', () => {
  it('is started for an endpoint within reach, in the range and at the rate asked for, and audited', async () => {
    const until = '2026-01-02T00:00:00+01:00';
    const body = { endpoint_id: endpoint, since, until, rate_per_second: 7 };
    const { status, json } = await tenant.rest.post<Replay>('/v1/replays', body);
    expect(status).toBe(202);
    expect(json).toMatchObject({
      ...{ account_id: account, endpoint_id: endpoint, status: 'running', requested_by: tenant.keyId },
      ...{ since, until: '2026-01-01T23:00:00.000Z', rate_per_second: 7, finished_at: null, sample: null },
      ...{ total: 250, requested: 0, succeeded: 0, failed: 0, estimated_seconds: 36 },
    });
    expect(history.asked).toMatchObject([
      {
        method: 'StartReplay',
        request: { id: json.id, tenant: tenant.id, account, endpoint, since: Date.parse(since) },
      },
    ]);
    expect((await actions()).at(-1)).toBe('replay.started');
  });

  it('that is a dry run counts and names some, and leaves no trace', async () => {
    const before = await actions();
    const path = `/v1/endpoints/${endpoint}/recover`;
    const { json } = await tenant.rest.post<Replay>(path, { since, dry_run: true });
    expect(json).toMatchObject({ id: null, status: 'dry_run', total: 250, sample: ['dlv_1'] });
    expect(history.asked).toMatchObject([{ request: { dry_run: true, rate_per_second: 100 } }]);
    expect(await actions()).toEqual(before);
  });

  it('that audit-log does not take is not audited either', async () => {
    const before = await actions();
    history.replies['StartReplay'] = () => {
      throw new Error('away');
    };
    const answer = await tenant.rest.post(`/v1/endpoints/${endpoint}/recover`, { since });
    expect(refusalOf(answer)).toEqual([503, 'unavailable']);
    expect(await actions()).toEqual(before);
  });

  it('is refused for what is not within reach, cannot be sent to, or is no range', async () => {
    const disabled = await tenant.createEndpoint('acme', { url: 'https://a.example/', enabled: false });
    const ask = async (body: object, rest = tenant.rest) => refusalOf(await rest.post('/v1/replays', body));
    const absent = [404, 'not_found', '/endpoint_id absent'];
    expect(await ask({ endpoint_id: endpoint, since }, other)).toEqual(absent);
    expect(await ask({ endpoint_id: newId('endpoint'), since })).toEqual(absent);
    expect(await ask({ endpoint_id: disabled.id, since })).toEqual([
      409,
      'conflict',
      '/endpoint_id not_sendable',
    ]);
    const invalid = (what: string) => [422, 'validation_failed', what];
    const range = { endpoint_id: endpoint, since, until: since };
    expect(await ask(range)).toEqual(invalid('/since empty_range'));
    expect(await ask({ endpoint_id: endpoint, since: '2999-01-01T00:00:00Z' })).toEqual(
      invalid('/since empty_range'),
    );
    expect((await ask({ endpoint_id: endpoint, since: 'yesterday' }))[2]).toMatch('/since');
    expect(history.asked).toEqual([]);
  });

  it('is of what is chosen: as audit-log is told it, and as it is shown', async () => {
    const filter = { status: ['delivered'], event_types: ['a.b'], error_class: 'timeout', status_code: 504 };
    const body = { endpoint_id: endpoint, since, ...filter };
    const { json } = await tenant.rest.post<Replay>('/v1/replays', body);
    expect(json).toMatchObject({
      ...{ kind: 'resend', endpoint_id: endpoint, to_endpoint_id: null },
      filter: { ...filter, channels: [], named: 0 },
    });
    expect(history.asked.at(-1)?.request).toMatchObject({
      ...{ kind: 'resend', endpoint },
      filter: { statuses: ['delivered'], event_types: ['a.b'], error_class: 'timeout', status_code: 504 },
      names: { deliveries: [], messages: [], endpoints: [] },
    });
  });

  it('of ids has no range, and of messages to an endpoint names their deliveries', async () => {
    const [first, second] = [newId('message'), newId('message')];
    const ask = async (body: object) => (await tenant.rest.post<Replay>('/v1/replays', body)).json;
    const settled = ['delivered', 'exhausted', 'cancelled'];
    const shown = await ask({ endpoint_id: endpoint, message_ids: [first, second] });
    expect(shown).toMatchObject({ since: null, until: null, filter: { status: settled, named: 2 } });
    expect(history.asked.at(-1)?.request).toMatchObject({
      filter: { statuses: settled },
      names: { deliveries: [deliveryId(first, endpoint), deliveryId(second, endpoint)], messages: [] },
    });
    await ask({ account_id: 'acme', message_ids: [first] });
    expect(history.asked.at(-1)?.request).toMatchObject({ names: { deliveries: [], messages: [first] } });
    await ask({ account_id: 'acme', delivery_ids: ['dlv_1'] });
    expect(history.asked.at(-1)?.request).toMatchObject({ names: { deliveries: ['dlv_1'], messages: [] } });
  });

  it('of an account is of its endpoints that can be sent to; of a key that is bound, of its own', async () => {
    await tenant.createEndpoint('acme', { url: 'https://off.example/', enabled: false });
    for (const body of [
      { account_id: 'acme', since },
      { account_id: account, since },
    ]) {
      const { json } = await tenant.rest.post<Replay>('/v1/replays', body);
      expect(json).toMatchObject({ kind: 'resend', account_id: account, endpoint_id: null });
      const { request } = history.asked.at(-1) as { request: Record<string, unknown> };
      expect(request).toMatchObject({ account, names: { endpoints: [endpoint] } });
      expect(request['endpoint']).toBeUndefined();
    }
    const { id } = await tenant.putAccount('other');
    await other.post('/v1/replays', { since });
    expect(history.asked.at(-1)?.request).toMatchObject({ account: id, names: { endpoints: [] } });
    const asked = history.asked.length;
    const foreign = await other.post('/v1/replays', { account_id: 'acme', since });
    expect(refusalOf(foreign)).toEqual([404, 'not_found', '/account_id absent']);
    expect(history.asked).toHaveLength(asked);
  });

  it('to another endpoint needs one of the same account that can be sent to; where from may be off', async () => {
    const from = await tenant.createEndpoint('acme', { url: 'https://b.example/', enabled: false });
    const foreign = await tenant.createEndpoint('other', { url: 'https://c.example/' });
    const ask = (body: object) => tenant.rest.post<Replay>('/v1/replays', { since, ...body });
    const { json } = await ask({ endpoint_id: from.id, to_endpoint_id: endpoint });
    expect(json).toMatchObject({ kind: 'copy', endpoint_id: from.id, to_endpoint_id: endpoint });
    expect(history.asked).toMatchObject([{ request: { endpoint: from.id, to_endpoint: endpoint } }]);
    const refused = async (body: object) => refusalOf(await ask(body));
    const [own, to] = ['endpoint_id', 'to_endpoint_id'];
    expect(await refused({ [own]: endpoint, [to]: from.id })).toEqual([
      409,
      'conflict',
      `/${to} not_sendable`,
    ]);
    expect(await refused({ [own]: endpoint, [to]: foreign.id })).toEqual([404, 'not_found', `/${to} absent`]);
    const same = [422, 'validation_failed', `/${to} same_endpoint`];
    expect(await refused({ [own]: endpoint, [to]: endpoint })).toEqual(same);
    expect(history.asked).toHaveLength(1);
  });

  it.each<[string, object, string]>([
    ['neither endpoint nor account', { since }, '/endpoint_id required'],
    ['neither time nor ids', { account_id: 'acme' }, '/since required'],
    [
      'both kinds of ids',
      { account_id: 'acme', delivery_ids: ['a'], message_ids: ['b'] },
      '/message_ids excluded',
    ],
    [
      'where to, but not where from',
      { account_id: 'acme', since, to_endpoint_id: 'x' },
      '/to_endpoint_id needs_endpoint_id',
    ],
    [
      'a status that is not settled',
      { account_id: 'acme', since, status: ['pending'] },
      '/status/0 invalid_value',
    ],
    ['no ids', { account_id: 'acme', delivery_ids: [] }, '/delivery_ids too_few'],
    ['too many ids', { account_id: 'acme', message_ids: Array(1_001).fill('a') }, '/message_ids too_many'],
  ])('is refused with %s', async (_, body, rule) => {
    expect(refusalOf(await tenant.rest.post('/v1/replays', body))).toEqual([422, 'validation_failed', rule]);
    expect(history.asked).toEqual([]);
  });

  it('that fills up an endpoint asks for what its rules of now would route there', async () => {
    const { id } = await tenant.createEndpoint('acme', {
      ...{ url: 'https://late.example/', event_types: ['a.b'], channels: ['eu'] },
    });
    const ask = (of: string, body: object) => tenant.rest.post<Replay>(`/v1/endpoints/${of}/backfill`, body);
    const { status, json } = await ask(id, { start_from: since, rate_per_second: 5 });
    expect(status).toBe(202);
    expect(json).toMatchObject({
      ...{ kind: 'backfill', endpoint_id: id, since, rate_per_second: 5 },
      filter: { event_types: ['a.b'], channels: ['eu'], status: [] },
    });
    expect(history.asked).toMatchObject([
      { request: { kind: 'backfill', endpoint: id, filter: { event_types: ['a.b'], channels: ['eu'] } } },
    ]);
    expect((await actions()).at(-1)).toBe('replay.started');
    const off = await tenant.createEndpoint('acme', { url: 'https://d.example/', enabled: false });
    expect(refusalOf(await ask(off.id, { start_from: since }))).toEqual([
      ...[409, 'conflict', ':endpoint not_sendable'],
    ]);
    expect(refusalOf(await ask(id, { start_from: '2999-01-01T00:00:00Z' }))).toEqual([
      ...[422, 'validation_failed', '/start_from empty_range'],
    ]);
    expect(refusalOf(await ask(id, {}))).toEqual([422, 'validation_failed', '/start_from required']);
  });

  it('is read, listed and steered within reach only', async () => {
    const row = rowOf({ requested: 50, succeeded: 40, failed: 1 });
    history.replies['GetReplay'] = () => ({ replay: row, sample: [] });
    history.replies['ListReplays'] = () => ({ data: [row], has_more: true });
    history.replies['SteerReplay'] = ({ status }) => ({ replay: { ...row, status }, sample: [] });
    const read = await tenant.rest.get<Replay>(`/v1/replays/${row.id}`);
    expect(read.json).toMatchObject({
      id: row.id,
      requested: 50,
      succeeded: 40,
      failed: 1,
      estimated_seconds: 2,
    });
    const list = await tenant.rest.get<{ data: Replay[]; next_cursor: string }>('/v1/replays?limit=1');
    expect(list.json.data).toEqual([read.json]);
    await tenant.rest.get(`/v1/replays?limit=1&cursor=${list.json.next_cursor}`);
    expect(history.asked.at(-1)?.request).toMatchObject({
      tenant: tenant.id,
      page: { limit: 1, after_at: at, after_id: row.id },
    });
    await other.get('/v1/replays');
    expect(history.asked.at(-1)?.request).toMatchObject({ tenant: tenant.id, account: expect.any(String) });
    for (const [how, status] of [
      ['pause', 'paused'],
      ['resume', 'running'],
      ['cancel', 'cancelled'],
    ]) {
      const path = `/v1/replays/${row.id}/${how}`;
      expect((await tenant.rest.post<Replay>(path)).json.status).toBe(status);
      expect(refusalOf(await other.post(path))).toEqual([404, 'not_found', ':id absent']);
    }
    expect((await actions()).slice(-3)).toEqual(['replay.paused', 'replay.resumed', 'replay.cancelled']);
    history.replies['GetReplay'] = () => ({ sample: [] });
    expect((await tenant.rest.get(`/v1/replays/${row.id}`)).status).toBe(404);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  deliveryId,
  type HistoryMeant,
  messagePosition,
  newId,
  type ReceivedComparison,
} from '@posthaste/contracts';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// What is asked of audit-log in a caller's name. What it answers is proven there, and both together end to end.

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;
let account: string;
let own: RestClient;
let foreign: RestClient;
let endpoint: string;
let path: string;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant();
  account = (await tenant.putAccount('acme')).id;
  await tenant.putAccount('other');
  endpoint = (await tenant.createEndpoint('acme', { url: 'https://receiver.example/' })).id;
  path = `/v1/endpoints/${endpoint}/reconcile`;
  own = await bed.api.accountClient(tenant, 'acme');
  foreign = await bed.api.accountClient(tenant, 'other');
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => {
  history.asked.length = 0;
  history.replies['ListMeant'] = () => ({ data: [] });
  history.replies['CompareReceived'] = () => ({ missing: [], unknown: [] });
});

const at = Date.parse('2026-01-02T03:04:05.678Z');
const [low, high] = [messagePosition(2, 10), messagePosition(2, 20)];
const asked = (): unknown => history.asked.map(({ request }) => request);
const row = (offset: number): HistoryMeant => ({
  position: messagePosition(2, offset),
  delivery: newId('delivery', at),
  message: newId('message', at),
  event_type: 'a.b',
  accepted_at: at,
  status: 'pending',
  attempts: 0,
  payload_sha256: 'ab',
});

describe('what was meant for an endpoint', () => {
  it('is shown in the words of the API, page after page', async () => {
    const rows = [row(1), row(2)];
    history.replies['ListMeant'] = () => ({ data: rows, has_more: true });
    const first = await own.ask<{ data: unknown[]; next_cursor: string }>('GET', `${path}?limit=2`);
    expect(first).toEqual({
      data: rows.map(({ position, delivery, message }) => ({
        position,
        message_id: message,
        delivery_id: delivery,
        event_type: 'a.b',
        accepted_at: '2026-01-02T03:04:05.678Z',
        payload_sha256: 'ab',
        status: 'pending',
        attempts: 0,
      })),
      next_cursor: expect.any(String) as unknown,
      has_more: true,
    });
    const cursor = `limit=2&cursor=${first.next_cursor}`;
    await own.ask('GET', `${path}?${cursor}`);
    const range = { tenant: tenant.id, account, endpoint };
    expect(asked()).toEqual([
      { range, limit: 2 },
      { range, limit: 2, after: rows[1]?.position },
    ]);
    expect(refusalOf(await own.get(`${path}?${cursor}&from=${low}`))).toEqual([
      400,
      'invalid_cursor',
      '?cursor invalid_cursor',
    ]);
  });

  it('is asked for by positions or times, through either path', async () => {
    const time = '2026-01-02T04:04:05.678%2B01:00';
    await tenant.rest.ask('GET', `${path}?from=${low}&to=${high}`);
    await tenant.rest.ask('GET', `/v1/accounts/acme/endpoints/${endpoint}/reconcile?from=${time}&to=${high}`);
    const body = { from: low, to: '2026-01-02T03:04:05.678Z', ids: ['msg_1'] };
    await tenant.rest.ask('POST', path, { body });
    const range = { tenant: tenant.id, account, endpoint };
    expect(asked()).toEqual([
      { range: { ...range, from: low, to: high }, limit: 50 },
      { range: { ...range, since: at, to: high }, limit: 50 },
      { range: { ...range, from: low, until: at }, ids: ['msg_1'] },
    ]);
  });

  it.each([
    ['from=yesterday', '?from invalid_format'],
    ['to=2026-02-30T00:00:00Z', '?to invalid_format'],
    [`from=${low}0`, '?from invalid_format'],
    [`from=${high}&to=${low}`, '?to bad_range'],
    ['from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00%2B01:00', '?to bad_range'],
    ['limit=201', '?limit too_large'],
    ['since=2026-01-02T00:00:00Z', '?since unknown_field'],
  ])('is refused for %s', async (query, rule) => {
    expect(refusalOf(await own.get(`${path}?${query}`))).toEqual([400, 'invalid_request', rule]);
    expect(asked()).toEqual([]);
  });

  it('is not there for those it does not belong to', async () => {
    const stranger = (await bed.api.newTenant('stranger')).rest;
    for (const rest of [foreign, stranger]) {
      for (const answer of [await rest.get(path), await rest.post(path, { ids: [] })]) {
        expect(refusalOf(answer)).toEqual([404, 'not_found', ':endpoint absent']);
      }
    }
    expect(asked()).toEqual([]);
  });

  it('cannot be told while audit-log is away', async () => {
    history.replies['ListMeant'] = () => {
      throw new Error('away');
    };
    expect((await own.get(path)).status).toBe(503);
  });
});

describe('a comparison', () => {
  it('says what is missing, what is unknown, and where to go on', async () => {
    expect(await own.ask('POST', path, { body: { ids: [] } })).toEqual({
      missing: [],
      unknown: [],
      more: false,
      next_from: null,
      replay: null,
    });
    history.replies['CompareReceived'] = () => ({ missing: ['msg_1'], unknown: ['x'], next_from: high });
    expect(await own.ask('POST', path, { body: { ids: ['x'] } })).toEqual({
      missing: ['msg_1'],
      unknown: ['x'],
      more: true,
      next_from: high,
      replay: null,
    });
    expect(history.asked.filter(({ method }) => method === 'StartReplay')).toEqual([]);
  });

  it('starts a replay of exactly what is missing, when it is asked to and something is', async () => {
    const body = { ids: [], replay: true, rate_per_second: 7 };
    expect(await own.ask('POST', path, { body })).toMatchObject({ missing: [], replay: null });
    const missing = [newId('message'), newId('message')];
    history.replies['CompareReceived'] = () => ({ missing, unknown: [] });
    history.replies['StartReplay'] = (request) => ({
      replay: { ...request, created_at: at, status: 'running', total: 2 },
      sample: [],
    });
    const { replay } = await own.ask<ReceivedComparison>('POST', path, { body });
    expect(replay).toMatchObject({
      ...{ kind: 'resend', endpoint_id: endpoint, since: null, until: null, total: 2 },
      ...{ rate_per_second: 7, filter: { named: 2, status: ['delivered', 'exhausted', 'cancelled'] } },
    });
    expect(history.asked.at(-1)?.request).toMatchObject({
      ...{ id: replay?.id, tenant: tenant.id, account, endpoint },
      names: { deliveries: missing.map((id) => deliveryId(id, endpoint)), messages: [], endpoints: [] },
    });
  });

  it('starts none for a key that may only read, nor for an endpoint that nothing can be sent to', async () => {
    const reader = await bed.api.accountClient(tenant, 'acme', ['deliveries:read']);
    expect((await reader.post(path, { ids: [] })).status).toBe(200);
    const ask = async (to: string, rest = own) =>
      refusalOf(await rest.post(`/v1/endpoints/${to}/reconcile`, { ids: [], replay: true }));
    const needs = 'authorization needs_deliveries:write';
    expect(await ask(endpoint, reader)).toEqual([403, 'forbidden', needs]);
    const off = await tenant.createEndpoint('acme', { url: 'https://a.example/', enabled: false });
    expect(await ask(off.id)).toEqual([409, 'conflict', ':endpoint not_sendable']);
  });

  it('takes 10,000 ids and no more', async () => {
    const ids = Array.from({ length: 10_000 }, () => newId('message'));
    expect((await own.post(path, { ids })).status).toBe(200);
    expect(history.asked[0]?.request['ids']).toEqual(ids);
    const refused = await own.post(path, { ids: [...ids, 'x'] });
    expect(refusalOf(refused)).toEqual([422, 'validation_failed', '/ids too_many']);
  });

  it.each<[string, object, string]>([
    ['no ids', {}, '/ids required'],
    ['an id that is none', { ids: [7] }, '/ids/0 wrong_type'],
    ['a turned range', { ids: [], from: high, to: low }, '/to bad_range'],
    ['a bound that is none', { ids: [], to: 'now' }, '/to invalid_format'],
  ])('is refused with %s', async (_, body, rule) => {
    expect(refusalOf(await own.post(path, body))).toEqual([422, 'validation_failed', rule]);
  });
});

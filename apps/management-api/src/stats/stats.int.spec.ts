import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;
let endpoint: string;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  await tenant.putAccount('other');
  endpoint = (await tenant.createEndpoint('acme', { url: 'https://receiver.example/' })).id;
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => {
  history.asked.length = 0;
  history.replies['GetEndpointStats'] = () => ({ data: [] });
});

const minuteOf = (time: string): number => Date.parse(time) / 60_000;
const nothing = { delivered: 0, failed: 0, deferred: 0, latency_ms: null };

describe("an endpoint's statistics", () => {
  it('are every point of the range, which is told in whole points', async () => {
    const counts = { delivered: 3, failed: 1, p50: 10, p95: 20, p99: 30 };
    const total = { ...counts, deferred: 4 };
    history.replies['GetEndpointStats'] = () => ({
      data: [
        { minute: minuteOf('2026-01-02T04:00:00Z'), ...counts },
        { minute: minuteOf('2026-01-02T05:00:00Z'), deferred: 4 },
      ],
      total,
    });
    const query = 'since=2026-01-02T04:30:00%2B01:00&until=2026-01-02T05:00:00.001Z&resolution=hour';
    const latency_ms = { p50: 10, p95: 20, p99: 30 };
    for (const path of [`endpoints/${endpoint}`, `accounts/acme/endpoints/${endpoint}`]) {
      const { status, json } = await tenant.rest.get(`/v1/${path}/stats?${query}`);
      expect([status, json]).toEqual([
        200,
        {
          endpoint_id: endpoint,
          since: '2026-01-02T03:00:00.000Z',
          until: '2026-01-02T06:00:00.000Z',
          resolution: 'hour',
          total: { delivered: 3, failed: 1, deferred: 4, latency_ms },
          data: [
            { at: '2026-01-02T03:00:00.000Z', ...nothing },
            { at: '2026-01-02T04:00:00.000Z', delivered: 3, failed: 1, deferred: 0, latency_ms },
            { at: '2026-01-02T05:00:00.000Z', ...nothing, deferred: 4 },
          ],
        },
      ]);
    }
    const [since, until] = [minuteOf('2026-01-02T03:00:00Z'), minuteOf('2026-01-02T06:00:00Z')];
    const request = { tenant: tenant.id, endpoint, since, until, step: 60 };
    expect(history.asked.map((asked) => asked.request)).toEqual([request, request]);
  });

  it.each([
    ['', 60, 60_000],
    ['resolution=hour', 24, 3_600_000],
    ['resolution=day', 30, 86_400_000],
  ])('end now when they are asked for with "%s"', async (query, points, stepMs) => {
    const before = Date.now();
    const { json } = await tenant.rest.get<{ data: unknown[]; until: string }>(
      `/v1/endpoints/${endpoint}/stats?${query}`,
    );
    expect(json.data).toHaveLength(points);
    expect(Date.parse(json.until)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(json.until) - Date.now()).toBeLessThanOrEqual(stepMs);
  });

  it.each([
    ['since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z', '?since bad_range'],
    ['since=2026-01-01T00:00:00Z&until=2026-01-03T00:00:00Z', '?since too_many'],
    ['since=1960-01-01T00:00:00Z&until=1960-01-01T01:00:00Z', '?since bad_range'],
    ['since=yesterday', '?since invalid_format'],
    ['resolution=second', '?resolution invalid_value'],
  ])('of %s are refused', async (query, error) => {
    const answer = await tenant.rest.get(`/v1/endpoints/${endpoint}/stats?${query}`);
    expect(refusalOf(answer)).toEqual([400, 'invalid_request', error]);
    expect(history.asked).toEqual([]);
  });

  it("of another account's endpoint are nothing to an account's key", async () => {
    const stranger = await bed.api.accountClient(tenant, 'other');
    expect(refusalOf(await stranger.get(`/v1/endpoints/${endpoint}/stats`))).toEqual([
      404,
      'not_found',
      ':endpoint absent',
    ]);
    expect(history.asked).toEqual([]);
  });
});

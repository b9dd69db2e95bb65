import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  type AuditEntry,
  type DeliveryAttempted,
  healthFactOf,
  type Endpoint,
  type EndpointWithHealth,
  OperatorEvent,
  topics,
} from '@posthaste/contracts';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import {
  answered,
  attemptAt,
  type Attempted,
  attemptsFrom,
  gone,
  refused,
} from '../proving/attempt-facts.js';
import { loggedMessages } from '../proving/logged-messages.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

jest.setTimeout(60_000);

const HOUR = 3_600_000;
/** Long ago, so that the whole of a story lies in the past: the events' time is the only one there is. */
const start = Date.parse('2026-03-01T00:00:00Z');

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
  await tenant.rest.put('/v1/accounts/ops', { receives_operator_events: true });
  await newEndpoint('ops', { event_types: ['endpoint.warning', 'endpoint.disabled', 'endpoint.recovered'] });
  await newEndpoint('ops', { event_types: ['message.attempts_exhausted'] });
});
afterAll(() => bed.stop());

async function newEndpoint(account: string, fields: object = {}): Promise<Attempted & Endpoint> {
  if (account !== 'ops') await tenant.rest.put(`/v1/accounts/${account}`, {});
  const url = 'https://example.com/hooks';
  const { json, status } = await tenant.rest.post<Endpoint>(`/v1/accounts/${account}/endpoints`, {
    url,
    ...fields,
  });
  expect(status).toBe(201);
  return { ...json, tenant: tenant.id };
}

async function happen(events: DeliveryAttempted[]): Promise<void> {
  const inOrder = [...events].sort((a, b) => timeOf(a) - timeOf(b));
  await bed.log.producer.append(
    inOrder.map((event) => ({ topic: topics.health, ...topics.health.encode(healthFactOf(event)) })),
  );
}

const timeOf = ({ startedAt }: DeliveryAttempted): number => startedAt;

const read = async ({ id }: Endpoint): Promise<EndpointWithHealth> =>
  (await tenant.rest.get<EndpointWithHealth>(`/v1/endpoints/${id}`)).json;

/** What operators were told about an endpoint, once it is so much, as it lies in the log. */
async function toldAbout({ id }: Endpoint, count: number) {
  const messages = await waitFor(
    async () => {
      const found = (await loggedMessages(bed.log)).filter(({ payload }) => payload.includes(id));
      return found.length >= count ? found : null;
    },
    { what: `${count} operator events`, everyMs: 200 },
  );
  return messages.map(({ meta, payload }) => {
    const event = OperatorEvent.parse(JSON.parse(payload.toString()));
    expect(meta).toMatchObject({ type: event.type, at: Date.parse(event.timestamp), tenant: tenant.id });
    return { id: meta.id, hours: (meta.at - start) / HOUR, routes: meta.routes.length, ...event };
  });
}

/** Resolves when all that happened to the account before has been judged and told: this new endpoint comes last. */
async function everythingIsTold(account: string): Promise<void> {
  const marker = await newEndpoint(account);
  await happen([attemptAt(start, marker, refused), attemptAt(start + 24 * HOUR, marker, refused)]);
  await toldAbout(marker, 1);
}

describe('a week of the virtual clock', () => {
  it('in which every attempt fails: warned after a day and after three, disabled after seven', async () => {
    const endpoint = await newEndpoint('acme');
    // A message each five hours, tried on Ada's schedule, for eight days.
    const attempts = Array.from({ length: 39 }, (_, i) =>
      attemptsFrom(start + 5 * i * HOUR, endpoint, refused),
    ).flat();
    const week = attempts.filter(({ startedAt }) => startedAt < start + 7 * 24 * HOUR);
    await happen(week);
    const warnings = await toldAbout(endpoint, 2);
    const firstFrom = (hours: number): number => {
      const times = attempts.map(({ startedAt }) => (startedAt - start) / HOUR);
      return Math.min(...times.filter((time) => time >= hours));
    };
    const about = warnings.filter(({ type }) => type === 'endpoint.warning');
    expect(about.map(({ hours }) => hours)).toEqual([firstFrom(24), firstFrom(72)]);
    const before = await read(endpoint);
    expect(before).toMatchObject({ enabled: true, version: 1, disabled_reason: null });
    expect(before.health).toMatchObject({ failing_since: '2026-03-01T00:00:00.000Z', last_success_at: null });

    await happen(attempts.filter((attempt) => !week.includes(attempt)));
    const disabled = await waitFor(async () => {
      const now = await read(endpoint);
      return now.enabled ? null : now;
    });
    expect(disabled).toMatchObject({ version: 2, disabled_reason: 'failing' });
    await everythingIsTold('acme');
    const told = await toldAbout(endpoint, 3);
    const lastOf = told.filter(({ type }) => type === 'endpoint.disabled');
    expect(lastOf).toMatchObject([
      {
        hours: firstFrom(168),
        routes: 1,
        data: {
          account_id: endpoint.account_id,
          reason: 'failing',
          failing_since: '2026-03-01T00:00:00.000Z',
        },
      },
    ]);
    expect(told.filter(({ type }) => type === 'endpoint.warning')).toHaveLength(2);
    // One for each delivery that was given up, and no more.
    const exhausted = attempts.filter(({ decision }) => decision.kind === 'exhausted');
    const givenUp = told.flatMap((event) =>
      event.type === 'message.attempts_exhausted' ? [event.data.delivery_id] : [],
    );
    expect([...givenUp].sort()).toEqual(exhausted.map(({ delivery }) => delivery).sort());

    const { rows } = await bed.database.query<{ entry: AuditEntry }>(
      `select entry from config.audit_entry where entry -> 'entity' ->> 'id' = $1 and entry ->> 'actor' = 'system'`,
      [endpoint.id],
    );
    expect(rows.map(({ entry }) => entry)).toMatchObject([
      { action: 'endpoint.disabled', entity: { version: 2 }, changed: ['enabled'] },
    ]);
  });

  it('in which it answers again, or is switched on again: what failed before is over', async () => {
    const endpoint = await newEndpoint('recovering');
    await happen([0, 25].map((hours) => attemptAt(start + hours * HOUR, endpoint, refused)));
    await happen([26, 26.05].map((hours) => attemptAt(start + hours * HOUR, endpoint, answered)));
    const told = await toldAbout(endpoint, 2);
    expect(told.map(({ type, hours }) => `${type} ${hours}`)).toEqual([
      'endpoint.warning 25',
      'endpoint.recovered 26',
    ]);
    expect((await read(endpoint)).health).toEqual({
      failing_since: null,
      last_success_at: new Date(start + 26 * HOUR).toISOString(),
      last_failure_at: new Date(start + 25 * HOUR).toISOString(),
    });

    await happen([attemptAt(start + 30 * HOUR, endpoint, refused)]);
    await waitFor(async () => (await read(endpoint)).health.failing_since);
    await tenant.rest.post(`/v1/endpoints/${endpoint.id}/disable`, {});
    expect((await read(endpoint)).health.failing_since).not.toBeNull();
    await tenant.rest.post(`/v1/endpoints/${endpoint.id}/enable`, {});
    expect((await read(endpoint)).health.failing_since).toBeNull();
    await happen([attemptAt(start + 300 * HOUR, endpoint, refused)]);
    await everythingIsTold('recovering');
    expect(await read(endpoint)).toMatchObject({ enabled: true, health: { failing_since: null } });
  });

  it('in which a receiver says that it is gone: disabled at once, and what the old URL said is void', async () => {
    const leaving = await newEndpoint('leaving', { auto_disable: false });
    const moved = await newEndpoint('leaving');
    await tenant.rest.patch(`/v1/endpoints/${moved.id}`, { url: 'https://example.com/new' });
    const now = Date.now() + HOUR;
    await happen([attemptAt(now, moved, gone), attemptAt(now, leaving, gone)]);
    const [told] = await toldAbout(leaving, 1);
    expect(told).toMatchObject({ type: 'endpoint.disabled', data: { reason: 'gone', failing_since: null } });
    expect(await read(leaving)).toMatchObject({ enabled: false, disabled_reason: 'gone', version: 2 });
    await everythingIsTold('leaving');
    expect(await read(moved)).toMatchObject({ enabled: true, version: 2 });
  });

  it('in which what operators are sent fails as well: it may be disabled, but nobody is told', async () => {
    const theirs = await newEndpoint('ops');
    await happen([0, 24, 72, 168].map((hours) => attemptAt(start + hours * HOUR, theirs, refused)));
    const more = attemptsFrom(start + 169 * HOUR, theirs, refused);
    await happen(more);
    await waitFor(async () => !(await read(theirs)).enabled);
    const last = new Date(more.at(-1)?.startedAt ?? 0).toISOString();
    await waitFor(async () => (await read(theirs)).health.last_failure_at === last);
    await everythingIsTold('marker');
    const about = (await loggedMessages(bed.log)).filter(({ payload }) => payload.includes(theirs.id));
    expect(about).toEqual([]);
  });

  it('in a tenant that has no operator accounts: disabled all the same, and nothing is kept to tell', async () => {
    const other = await bed.api.newTenant('Quiet');
    await other.rest.put('/v1/accounts/a', {});
    const { json } = await other.rest.post<Endpoint>('/v1/accounts/a/endpoints', {
      url: 'https://example.com/',
    });
    const endpoint = { ...json, tenant: other.id };
    await happen([0, 24, 168].map((hours) => attemptAt(start + hours * HOUR, endpoint, refused)));
    const path = `/v1/endpoints/${endpoint.id}`;
    await waitFor(async () => !(await other.rest.get<Endpoint>(path)).json.enabled);
    await everythingIsTold('marker');
    const about = (await loggedMessages(bed.log)).filter(({ meta }) => meta.tenant === other.id);
    expect(about).toEqual([]);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type DeliveryAttempted, type Endpoint, healthFactOf, topics } from '@posthaste/contracts';
import type { AttemptOutcome } from '@posthaste/delivery';
import { type EventLog, openEventLog, type ProjectionBatch } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool } from '@posthaste/runtime';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { entities } from '../app.module.js';
import { Changes } from '../changes/changes.js';
import { startApi } from '../proving/api-under-test.js';
import { answered, attemptAt, type Attempted, refused } from '../proving/attempt-facts.js';
import { loggedMessages } from '../proving/logged-messages.js';
import { disableEndpoint } from './disable-endpoint.js';
import { healthProjection } from './health.projection.js';
import { forgetOldHealth } from './sql/todo-actions.js';
import { tellOperators } from './tell-operators.js';

jest.setTimeout(60_000);

const HOUR = 3_600_000;
const start = Date.parse('2026-03-01T00:00:00Z');
const { logger } = createLogger('interrupted-spec', 'silent');

let server: TemporaryPostgres;
let pool: pg.Pool;
let database: DataSource;
let changes: Changes;
let log: EventLog;
let endpoint: Attempted & Endpoint;
/** Made anew for each process that takes over. */
const newProjection = (): ReturnType<typeof healthProjection> =>
  healthProjection(pool, { onActions: () => undefined, onUnreadable: () => undefined });

beforeAll(async () => {
  server = await startTemporaryPostgres('health');
  const { url } = server;
  const api = await startApi(url);
  const tenant = await api.newTenant('Acme');
  await tenant.rest.put('/v1/accounts/ops', { receives_operator_events: true });
  await tenant.rest.put('/v1/accounts/acme', {});
  const body = { url: 'https://example.com/hooks' };
  await tenant.rest.post('/v1/accounts/ops/endpoints', body);
  const { json } = await tenant.rest.post<Endpoint>('/v1/accounts/acme/endpoints', body);
  endpoint = { ...json, tenant: tenant.id };
  // From here on its parts are run by hand.
  await api.stop();
  pool = createPool({ url, name: 'spec', max: 6, logger });
  database = await new DataSource({ type: 'postgres', url, entities }).initialize();
  changes = new Changes(database);
  log = await openEventLog({ kind: 'postgres', url });
}, 60_000);
afterAll(async () => {
  await log.close();
  await database.destroy();
  await pool.end();
  await server.remove();
});
beforeEach(async () => {
  await pool.query('truncate health.position, health.endpoint, health.action');
  await pool.query('update config.endpoint set enabled = true, disabled_reason = null, health_since = null');
});

const week = (): DeliveryAttempted[] =>
  [0, 24, 72, 168].map((hours) => attemptAt(start + hours * HOUR, endpoint, refused));

const batch = (events: DeliveryAttempted[]): ProjectionBatch => ({
  topic: 'health',
  partition: 0,
  from: 0,
  records: events.map((event, offset) => ({
    ...topics.health.encode(healthFactOf(event)),
    offset,
    appendedAt: 0,
  })),
  next: events.length,
});

async function project(events: DeliveryAttempted[], projection = newProjection()): Promise<string> {
  await projection.loadPositions([{ topic: 'health', partition: 0 }]);
  return projection.apply([batch(events)]);
}

interface ActionRow {
  cause: string;
  kind: string;
  done: boolean;
}

async function actions(kind: 'disable' | 'tell'): Promise<ActionRow[]> {
  const { rows } = await pool.query<ActionRow>(
    `select cause, kind, done_at is not null as done from health.action where kind = $1 order by at, cause`,
    [kind],
  );
  return rows;
}

const toDisable = async (): Promise<string> => (await actions('disable'))[0]?.cause ?? 'nothing to disable';

async function state(): Promise<{ enabled: boolean; version: number; audited: number }> {
  const { rows } = await pool.query<{ enabled: boolean; version: number; audited: number }>(
    `select enabled, version, (select count(*)::int from config.audit_entry
        where entry -> 'entity' ->> 'id' = e.id and entry ->> 'actor' = 'system') as audited
       from config.endpoint e where id = $1`,
    [endpoint.id],
  );
  return rows[0] as { enabled: boolean; version: number; audited: number };
}

/** While it runs, the last statement of whoever works off an action fails: as if it died before its commit. */
async function dyingBeforeTheEnd(work: () => Promise<unknown>): Promise<void> {
  await pool.query(`
    create function health.die() returns trigger language plpgsql as $$ begin raise exception 'dead'; end $$;
    create trigger die before update on health.action for each row execute function health.die()`);
  try {
    await expect(work()).rejects.toThrow('dead');
  } finally {
    await pool.query('drop function health.die() cascade');
  }
}

describe('an endpoint that is well', () => {
  it('costs its position alone for most of its successes, and no failure is overlooked between them', async () => {
    const at = (minutes: number, outcome: AttemptOutcome) =>
      attemptAt(start + minutes * 60_000, endpoint, outcome);
    const written = async () => {
      const { rows } = await pool.query<{ xmin: string; last: number; failing: number | null }>(
        'select xmin::text, last_success_at as last, failing_since as failing from health.endpoint',
      );
      return rows[0];
    };
    const projection = newProjection();
    await projection.loadPositions([{ topic: 'health', partition: 0 }]);
    let next = 0;
    const apply = async (...events: DeliveryAttempted[]) => {
      const { records } = batch(events);
      const moved = records.map((record) => ({ ...record, offset: next + record.offset }));
      const one = {
        topic: 'health',
        partition: 0,
        from: next,
        records: moved,
        next: next + moved.length,
      };
      expect(await projection.apply([one])).toBe('applied');
      next = one.next;
    };
    await apply(at(0, answered), at(1, answered));
    const first = await written();
    expect(first?.last).toBe(start);
    await apply(at(2, answered), at(4, answered));
    expect(await written()).toEqual(first);

    await apply(at(4.5, answered), at(4.6, refused), at(4.7, answered));
    expect(await written()).toMatchObject({ last: start + 4.7 * 60_000, failing: null });
    await apply(at(4.8, answered), at(4.9, refused));
    expect(await written()).toMatchObject({ failing: start + 4.9 * 60_000 });
  });
});

describe('whoever dies', () => {
  it('before the projection commits leaves nothing behind; a zombie of it changes nothing', async () => {
    const zombie = newProjection();
    await zombie.loadPositions([{ topic: 'health', partition: 0 }]);
    expect(await project(week())).toBe('applied');
    const [warnings, disabling] = [await actions('tell'), await actions('disable')];
    expect([warnings.length, disabling.length]).toEqual([2, 1]);
    expect(await zombie.apply([batch(week())])).toBe('conflict');
    expect([await actions('tell'), await actions('disable')]).toEqual([warnings, disabling]);
  });

  it('before the change commits has changed nothing, and the next one disables: once', async () => {
    const before = await state();
    await project(week());
    const cause = await toDisable();
    await dyingBeforeTheEnd(() => disableEndpoint(changes, cause, 'att_1'));
    expect(await state()).toEqual(before);
    expect(await actions('tell')).toHaveLength(2);

    await Promise.all([1, 2, 3].map(() => disableEndpoint(changes, cause, 'att_1')));
    await disableEndpoint(changes, cause, 'att_1');
    expect(await state()).toEqual({
      enabled: false,
      version: before.version + 1,
      audited: before.audited + 1,
    });
    const told = (await actions('tell')).filter(({ cause }) => cause.startsWith('endpoint.disabled'));
    expect(told).toEqual([{ cause: `endpoint.disabled/${cause}`, kind: 'tell', done: false }]);
  });

  it('before it has marked what it told tells it again, under the same ids', async () => {
    await project(week());
    const idsBefore = new Set((await loggedMessages(log)).map(({ meta }) => meta.id));
    const told = async () => (await loggedMessages(log)).filter(({ meta }) => !idsBefore.has(meta.id));
    await dyingBeforeTheEnd(() => tellOperators(pool, log.producer));
    const first = await told();
    expect(first.map(({ meta }) => meta.type)).toEqual(['endpoint.warning', 'endpoint.warning']);

    expect(await tellOperators(pool, log.producer)).toBe(2);
    expect(await tellOperators(pool, log.producer)).toBe(0);
    const twice = await told();
    expect(twice).toHaveLength(4);
    expect(twice.slice(2)).toEqual(twice.slice(0, 2));
    expect(new Set(twice.map(({ meta }) => meta.id)).size).toBe(2);
  });

  it('while the log does not acknowledge has told nothing; two that tell at once tell each thing once', async () => {
    await project(week());
    const silent = await openEventLog({ kind: 'postgres', url: server.url });
    await silent.close();
    await expect(tellOperators(pool, silent.producer)).rejects.toThrow();
    expect((await actions('tell')).map(({ done }) => done)).toEqual([false, false]);
    const counts = await Promise.all([1, 2].map(() => tellOperators(pool, log.producer)));
    expect(counts.reduce((sum, count) => sum + count)).toBe(2);
    expect((await actions('tell')).map(({ done }) => done)).toEqual([true, true]);
  });
});

describe('what is remembered of health', () => {
  it('is forgotten with the endpoint, and what was done once the log can not hold its cause any more', async () => {
    await project(week());
    await pool.query(`
      insert into health.endpoint (endpoint, failures, stage_hours, is_warned) values ('ep_gone', 0, 0, false);
      insert into health.action (cause, kind, tenant, account, endpoint, at, detail, done_at)
      select cause, 'tell', '', '', '', 0, '{}', done_at
        from (values ('old', now() - interval '33 days'), ('new', now() - interval '31 days'), ('open', null))
          as made (cause, done_at)`);
    await forgetOldHealth(pool);
    const { rows } = await pool.query<{ endpoint: string }>('select endpoint from health.endpoint');
    expect(rows).toEqual([{ endpoint: endpoint.id }]);
    const kept = (await actions('tell')).map(({ cause }) => cause);
    expect(kept).toEqual(expect.arrayContaining(['new', 'open']));
    expect(kept).toHaveLength(4);
    expect(await actions('disable')).toHaveLength(1);
  });
});

describe('a log that is read again from its beginning', () => {
  it('asks for nothing twice, neither while the endpoint is off nor after it was switched on', async () => {
    await project(week());
    await disableEndpoint(changes, await toDisable(), 'att_1');
    while ((await tellOperators(pool, log.producer)) > 0);
    const done = [...(await actions('tell')), ...(await actions('disable'))];
    const { version } = await state();

    await pool.query('truncate health.position, health.endpoint');
    await project(week());
    expect([...(await actions('tell')), ...(await actions('disable'))]).toEqual(done);

    await pool.query('update config.endpoint set enabled = true, health_since = now()');
    await pool.query('truncate health.position, health.endpoint, health.action');
    await project([...week(), attemptAt(start + 200 * HOUR, endpoint, answered)]);
    expect([await actions('tell'), await actions('disable')]).toEqual([[], []]);
    expect(await state()).toMatchObject({ enabled: true, version });
  });
});

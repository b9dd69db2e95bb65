import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AuditEntry, type ConfigState, type Topic, topics } from '@posthaste/contracts';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
}, 60_000);
afterAll(() => bed.stop());

const url = 'https://receiver.example/';

async function logged<T>(topic: Topic<T>): Promise<T[]> {
  const found: T[] = [];
  const following = await bed.log.reader.follow(topic, (record) => found.push(topic.decode(record)));
  await following.caughtUp;
  await following.close();
  return found;
}

/** Everything of the configuration, row by row. */
async function everything(): Promise<unknown> {
  const { rows } = await bed.database.query(
    `select (select json_agg(e order by id) from config.endpoint e) as endpoints,
            (select json_agg(a order by id) from config.account a) as accounts,
            (select json_agg(v order by entity_id, version) from config.entity_version v) as versions,
            (select json_agg(a order by id) from config.audit_entry a) as audit,
            (select count(*) from config.outbox) as outbox`,
  );
  return rows;
}

async function outboxIsEmpty(): Promise<boolean> {
  return (await bed.database.query('select 1 from config.outbox')).rowCount === 0;
}

describe('a change', () => {
  it('leaves its version and its audit entry, and reaches the log with both', async () => {
    const { id } = await tenant.createEndpoint('acme', { url });
    await tenant.rest.patch(`/v1/endpoints/${id}`, { description: 'x' }, { 'x-request-id': 'req-of-mine' });
    const { rows } = await bed.database.query<{ version: number; config_version: string; entry: unknown }>(
      `select v.version, v.config_version, a.entry from config.entity_version v
         join config.audit_entry a on a.id = v.audit_id where v.entity_id = $1 order by v.version`,
      [id],
    );
    expect(rows.map(({ version }) => version)).toEqual([1, 2]);
    const [created, updated] = rows.map(({ entry }) => AuditEntry.parse(entry));
    expect(created).toMatchObject({ action: 'endpoint.created', actor: tenant.keyId, tenant: tenant.id });
    expect(updated).toMatchObject({
      action: 'endpoint.updated',
      requestId: 'req-of-mine',
      changed: ['description'],
      entity: { kind: 'endpoint', id, version: 2 },
    });
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    const states: ConfigState[] = (await logged(topics.config)).filter((state) => state.id === id);
    expect(states.at(-1)).toMatchObject({
      kind: 'endpoint',
      version: 2,
      account: expect.stringMatching(/^acc_/),
    });
    const audited = (await logged(topics.audit)).map((entry) => entry.id);
    expect(audited).toEqual(expect.arrayContaining([created?.id, updated?.id]));
  });

  it('that is refused in its last step leaves nothing', async () => {
    await tenant.rest.post('/v1/accounts/acme/endpoints', { url, uid: 'taken' });
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    const before = await everything();
    const answer = await tenant.rest.post('/v1/accounts/acme/endpoints', { url, uid: 'taken' });
    expect(refusalOf(answer)).toEqual([409, 'conflict', '/uid taken']);
    expect(await everything()).toEqual(before);
  });

  it('is undone whole when its outbox row cannot be written, and the answer tells nothing of why', async () => {
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    const before = await everything();
    await bed.database.query('alter table config.outbox add constraint full_up check (false) not valid');
    try {
      const answer = await tenant.rest.post('/v1/accounts/acme/endpoints', { url });
      expect(refusalOf(answer)).toEqual([500, 'internal_error']);
      expect(answer.bytes.toString()).not.toMatch(/full_up|outbox|config\.|insert/);
    } finally {
      await bed.database.query('alter table config.outbox drop constraint full_up');
    }
    expect(await everything()).toEqual(before);
  });

  it('keeps no secret where it would stay for ever, and none in the clear anywhere', async () => {
    const secret = `whsec_${Buffer.alloc(32, 'canary').toString('base64')}`;
    const { json } = await tenant.rest.post<{ id: string }>('/v1/accounts/acme/endpoints', { url, secret });
    await tenant.rest.get(`/v1/endpoints/${json.id}/secret`);
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    const all = JSON.stringify([await everything(), await logged(topics.config), await logged(topics.audit)]);
    expect(all).not.toContain(secret.slice('whsec_'.length));
    const { rows } = await bed.database.query<{ state: string }>(
      'select state::text from config.entity_version',
    );
    expect(rows.map(({ state }) => state).join()).not.toContain('sealed');
  });

  it('cannot be edited afterwards', async () => {
    for (const statement of [
      'update config.entity_version set version = 9',
      'delete from config.audit_entry',
    ]) {
      await expect(bed.database.query(statement)).rejects.toThrow('append-only');
    }
  });
});

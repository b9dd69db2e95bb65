import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  deliveryId,
  type ExplainedEndpoint,
  type Explanation,
  type HistoryMessage,
  newId,
} from '@posthaste/contracts';
import { seededRandom, type TenantClient } from '@posthaste/test-kit';
import { loggedMessages } from '../proving/logged-messages.js';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// Why a message went where it went: real changes and real publishing, with what audit-log would say of them.

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant();
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => {
  history.replies['GetRoutes'] = () => ({ routes: [], deliveries: [] });
});

const url = 'https://receiver.example/';
const publish = (account: string, body: object): Promise<{ id: string; deliveries: number }> =>
  tenant.rest.ask('POST', `/v1/accounts/${account}/messages`, { body: { payload: {}, ...body } });

/** What the log has of it, as audit-log answers that; and the endpoints it was routed to. */
async function inHistory(id: string, more: Partial<HistoryMessage> = {}): Promise<string[]> {
  const { meta } = (await loggedMessages(bed.log)).find((one) => one.meta.id === id) ?? {};
  if (!meta) throw new Error(`${id} is not in the log`);
  const message: HistoryMessage = {
    id,
    tenant: meta.tenant,
    account: meta.account,
    event_type: meta.type,
    channels: meta.channels ?? [],
    tags: [],
    content_type: meta.contentType,
    accepted_at: meta.at,
    config_version: meta.config,
    payload_bytes: 2,
    deliveries: meta.routes.length,
    ...more,
  };
  history.replies['GetMessage'] = (request) => (request['id'] === id ? { message } : {});
  return meta.routes.map(({ endpoint }) => endpoint);
}

async function explained(id: string): Promise<Map<string, ExplainedEndpoint>> {
  const rows = await tenant.rest.all<ExplainedEndpoint>(`/v1/messages/${id}/explain`);
  return new Map(rows.map((row) => [row.endpoint_id, row]));
}

describe('an explanation', () => {
  it('names for every endpoint the rule that said no, what it compared, and who made it so', async () => {
    const { id: account } = await tenant.putAccount('acme');
    const own = await bed.api.accountClient(tenant, 'acme');
    const create = (fields: object) => tenant.createEndpoint('acme', { url, ...fields });
    const open = await create({});
    const filtered = await create({ event_types: ['invoice.paid'] });
    await tenant.updateEndpoint(filtered.id, { event_types: ['order.placed', 'order.sent'] });
    await tenant.updateEndpoint(filtered.id, { description: 'the filter stays' });
    const channel = await create({ channels: ['eu'] });
    const off = await create({});
    await own.ask('POST', `/v1/endpoints/${off.id}/disable`, {});
    const deleted = await create({});
    await tenant.deleteEndpoint(deleted.id);
    const { id } = await publish('acme', { event_type: 'invoice.paid', channels: ['us'] });
    // None of this happened when the message was routed.
    await own.ask('POST', `/v1/endpoints/${off.id}/enable`, {});
    await tenant.updateEndpoint(open.id, { event_types: ['other'] });
    await tenant.deleteEndpoint(channel.id);
    const later = await create({});

    expect(await inHistory(id)).toEqual([open.id]);
    const delivery = {
      id: deliveryId(id, open.id),
      message: id,
      tenant: tenant.id,
      account,
      endpoint: open.id,
      event_type: 'invoice.paid',
      status: 'cancelled',
      attempts: 1,
      accepted_at: 0,
      last_status_code: 410,
      reason: 'endpoint_gone',
    };
    const routes = [{ endpoint: open.id, version: 1 }];
    history.replies['GetRoutes'] = () => ({ routes, deliveries: [delivery] });
    const { json } = await tenant.rest.get<Explanation>(`/v1/messages/${id}/explain`);
    expect(json.message).toMatchObject({ id, account_id: account, channels: ['us'], stale_config: false });
    expect(json.data.map(({ endpoint_id }) => endpoint_id)).toEqual(
      [later, deleted, off, channel, filtered, open].map((endpoint) => endpoint.id),
    );
    const [isLater, isDeleted, isOff, isChannel, isFiltered, isOpen] = json.data;
    const no = { matched: false, routed: false, delivery: null, missed_change: null };
    expect(isOpen).toMatchObject({
      ...{ matched: true, rule: null, since: null, routed: true, version: 1 },
      delivery: { status: 'cancelled', attempts: 1, last_status_code: 410, reason: 'endpoint_gone' },
    });
    expect(isFiltered).toMatchObject({
      ...{ ...no, version: 3, rule: 'event_types' },
      ...{ wanted: ['order.placed', 'order.sent'], got: ['invoice.paid'] },
      since: { version: 2, action: 'endpoint.updated', actor: tenant.keyId },
    });
    expect(isChannel).toMatchObject({
      ...{ ...no, version: 1, rule: 'channels', wanted: ['eu'], got: ['us'] },
      since: { version: 1, action: 'endpoint.created' },
    });
    expect(isOff).toMatchObject({
      ...{ ...no, version: 2, rule: 'enabled', disabled_reason: 'requested' },
      since: { version: 2, action: 'endpoint.disabled', actor: expect.not.stringContaining(tenant.keyId) },
    });
    expect(isDeleted).toMatchObject({
      ...{ ...no, version: 2, rule: 'deleted_before' },
      since: { version: 2, action: 'endpoint.deleted', actor: tenant.keyId },
    });
    expect(isLater).toMatchObject({
      ...{ ...no, version: null, rule: 'created_later', wanted: [json.message.accepted_at] },
      since: { version: 1, action: 'endpoint.created' },
    });
    expect(isLater?.got).toEqual([isLater?.since?.at]);
  });

  it('tells what the log says where that differs from what the configuration says', async () => {
    await tenant.putAccount('differs');
    const one = await tenant.createEndpoint('differs', { url });
    const two = await tenant.createEndpoint('differs', { url, enabled: false });
    const { id } = await publish('differs', { event_type: 'a' });
    await inHistory(id);
    history.replies['GetRoutes'] = () => ({ routes: [{ endpoint: two.id, version: 1 }], deliveries: [] });
    let rows = await explained(id);
    expect(rows.get(one.id)).toMatchObject({ matched: true, routed: false, delivery: null });
    expect(rows.get(two.id)).toMatchObject({ matched: false, rule: 'enabled', routed: true });
    // A delivery without a route is a replay's; unless there are more routes than are told.
    const delivery = {
      ...{ id: deliveryId(id, two.id), message: id, tenant: tenant.id, account: 'x', endpoint: two.id },
      ...{ event_type: 'a', status: 'delivered', attempts: 1, accepted_at: 0 },
    };
    history.replies['GetRoutes'] = () => ({ routes: [], deliveries: [delivery] });
    rows = await explained(id);
    expect(rows.get(two.id)).toMatchObject({ routed: false, delivery: { status: 'delivered' } });
    history.replies['GetRoutes'] = () => ({ routes: [], deliveries: [delivery], partial: true });
    rows = await explained(id);
    expect(rows.get(two.id)).toMatchObject({ routed: true, delivery: { status: 'delivered' } });
    expect(rows.get(one.id)).toMatchObject({ routed: false });
  });

  it('of a message routed by a stale configuration names the changes it missed', async () => {
    await tenant.putAccount('stale');
    const changed = await tenant.createEndpoint('stale', { url });
    const same = await tenant.createEndpoint('stale', { url });
    const { id } = await publish('stale', { event_type: 'a' });
    await tenant.updateEndpoint(changed.id, { event_types: ['b'] });
    const unseen = await tenant.createEndpoint('stale', { url });
    await inHistory(id, { stale_config: true, accepted_at: Date.now() + 60_000 });
    const rows = await explained(id);
    expect(rows.get(changed.id)).toMatchObject({
      ...{ matched: true, version: 1 },
      missed_change: { version: 2, matched: false, rule: 'event_types', wanted: ['b'], got: ['a'] },
    });
    expect(rows.get(same.id)).toMatchObject({ matched: true, missed_change: null });
    expect(rows.get(unseen.id)).toMatchObject({
      ...{ matched: false, rule: 'created_later' },
      missed_change: { version: 1, matched: true, rule: null },
    });
    // A change after the acceptance was not missed.
    await inHistory(id, { stale_config: true });
    expect((await explained(id)).get(unseen.id)?.missed_change).toBeNull();
  });

  it('is paged, and for those only who may see the message', async () => {
    await tenant.putAccount('mine');
    await tenant.putAccount('theirs');
    for (let n = 0; n < 5; n++) await tenant.createEndpoint('mine', { url });
    const { id } = await publish('mine', { event_type: 'a' });
    await inHistory(id);
    history.asked.length = 0;
    type Page = { data: ExplainedEndpoint[]; next_cursor: string; has_more: boolean };
    const path = `/v1/messages/${id}/explain?limit=3`;
    const first = await tenant.rest.ask<Page>('GET', path);
    const rest = await tenant.rest.ask<Page>('GET', `${path}&cursor=${first.next_cursor}`);
    expect([first.data.length, first.has_more, rest.data.length, rest.has_more]).toEqual([3, true, 2, false]);
    const ids = [...first.data, ...rest.data].map(({ endpoint_id }) => endpoint_id);
    expect(new Set(ids).size).toBe(5);
    const asked = history.asked.filter(({ method }) => method === 'GetRoutes');
    expect(asked.map(({ request }) => request)).toEqual([
      { tenant: tenant.id, message: id, endpoints: ids.slice(0, 3) },
      { tenant: tenant.id, message: id, endpoints: ids.slice(3) },
    ]);
    const [last = ''] = ids;
    const narrowed = await tenant.rest.ask<Page>('GET', `${path}&endpoint_id=${last}`);
    expect(narrowed).toMatchObject({ data: [{ endpoint_id: last }], has_more: false });
    expect(refusalOf(await tenant.rest.get(`${path}&endpoint_id=nobody`))).toEqual([
      400,
      'invalid_request',
      '?endpoint_id unknown_endpoint',
    ]);
    const [own, other, reader] = [
      await bed.api.accountClient(tenant, 'mine'),
      await bed.api.accountClient(tenant, 'theirs'),
      await bed.api.accountClient(tenant, 'mine', ['messages:read']),
    ];
    expect((await own.get(path)).status).toBe(200);
    expect(refusalOf(await other.get(path))).toEqual([404, 'not_found', ':id absent']);
    expect(refusalOf(await reader.get(path)).slice(0, 2)).toEqual([403, 'forbidden']);
    const unknown = `/v1/messages/${newId('message')}/explain`;
    expect(refusalOf(await tenant.rest.get(unknown))).toEqual([404, 'not_found', ':id absent']);
  });
});

describe('explaining and publishing', () => {
  it('agree, whatever is changed and published in whatever order', async () => {
    const random = seededRandom();
    const types = ['a', 'b', 'c'];
    const some = <T>(from: readonly T[]): T[] => from.filter(() => random.next() < 0.4);
    const filter = () => ({
      event_types: some(types),
      channels: some(['x', 'y']),
      enabled: random.next() < 0.8,
    });
    await tenant.putAccount('random');
    const live: string[] = [];
    const everyone: string[] = [];
    const published: string[] = [];
    const steps = {
      create: async () => {
        const { id } = await tenant.createEndpoint('random', { url, ...filter() });
        live.push(id);
        everyone.push(id);
      },
      change: async () => {
        if (live.length > 0) await tenant.updateEndpoint(random.pick(live), filter());
      },
      remove: async () => {
        if (live.length > 3) await tenant.deleteEndpoint(live.splice(random.below(live.length), 1)[0] ?? '');
      },
      publish: async () => {
        const message = { event_type: random.pick(types), channels: some(['x', 'y', 'z']) };
        published.push((await publish('random', message)).id);
      },
      // The same message at once with a change: it is routed before or after that, and stamped so.
      race: async () => {
        await Promise.all([steps.publish(), steps.change(), steps.publish()]);
      },
    };
    const names = ['create', 'change', 'change', 'remove', 'publish', 'publish', 'race'] as const;
    for (let n = 0; n < 120; n++) await steps[random.pick(names)]();
    let matched = 0;
    for (const id of published) {
      const routed = await inHistory(id);
      const rows = await explained(id);
      const verdicts = [...rows.values()];
      const going = verdicts.filter((one) => one.matched).map(({ endpoint_id }) => endpoint_id);
      expect({ seed: random.seed, id, going: going.sort() }).toEqual({
        seed: random.seed,
        id,
        going: routed.sort(),
      });
      expect([...rows.keys()].sort()).toEqual([...everyone].sort());
      expect(verdicts.every((one) => one.matched === (one.rule === null && one.since === null))).toBe(true);
      matched += going.length;
    }
    // It would prove nothing if hardly anything matched, or everything.
    expect(published.length).toBeGreaterThan(20);
    expect(matched).toBeGreaterThan(20);
  }, 120_000);
});

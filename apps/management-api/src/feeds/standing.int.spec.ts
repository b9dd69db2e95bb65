import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLogger } from '@posthaste/runtime';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import { DataSource } from 'typeorm';
import type { Principal } from '../access/principal.js';
import { entities } from '../app.module.js';
import { EndpointRow } from '../endpoints/endpoint.entity.js';
import { HistoryReader } from '../history/index.js';
import { ScriptedFeed } from '../proving/scripted-feed.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { Feeds } from './index.js';

let bed: TestBed;
let feed: ScriptedFeed;
let reader: HistoryReader;
let database: DataSource;
let feeds: Feeds;
let tenant: TenantClient;

beforeAll(async () => {
  feed = new ScriptedFeed();
  await feed.history.start();
  bed = await startTestBed();
  database = await new DataSource({ type: 'postgres', url: bed.postgres.url, entities }).initialize();
  reader = new HistoryReader(feed.history.address);
  const { logger } = createLogger('feeds-spec', 'silent');
  feeds = new Feeds(reader, database, logger, { standingEveryMs: 20 });
  tenant = await bed.api.newTenant();
}, 60_000);
afterAll(async () => {
  feeds.stop();
  reader.close();
  feed.history.stop();
  await database.destroy();
  await bed.stop();
});

interface Watch {
  items: number[];
  ended: string[];
}

/** Follows a new feed of the account from its beginning. */
async function followNew(account: string, key: string): Promise<Watch & { id: string; close: () => void }> {
  await tenant.putAccount(account);
  const { id } = await tenant.rest.ask<{ id: string }>('POST', `/v1/accounts/${account}/endpoints`, {
    body: { mode: 'feed' },
  });
  const row = await database.manager.findOneByOrFail(EndpointRow, { id });
  const by: Principal = { kind: 'tenant', tenant: tenant.id, key, permissions: null };
  const seen: Watch = { items: [], ended: [] };
  const sink = {
    item: ({ sequence }: { sequence: number }) => void seen.items.push(sequence),
    end: (reason: string) => void seen.ended.push(reason),
  };
  const { close } = feeds.follow(row, 0, sink, by);
  return { ...seen, id, close };
}

async function newKey(): Promise<string> {
  const body = { name: 'second', scope: 'tenant' };
  const made = await bed.api.operator.ask<{ id: string }>('POST', `/v1/tenants/${tenant.id}/keys`, { body });
  return made.id;
}

describe('one who follows a feed', () => {
  it('is told that it is over when the endpoint, its account or the key is gone, and nobody else is', async () => {
    const key = await newKey();
    const [byKey, ofEndpoint, ofAccount, disabled, staying] = await Promise.all([
      followNew('a', key),
      followNew('b', tenant.keyId),
      followNew('c', tenant.keyId),
      followNew('d', tenant.keyId),
      followNew('e', tenant.keyId),
    ]);
    await tenant.rest.ask('POST', `/v1/endpoints/${disabled.id}/disable`);
    await bed.api.operator.ask('DELETE', `/v1/tenants/${tenant.id}/keys/${key}`);
    await waitFor(() => byKey.ended.length > 0);
    await tenant.deleteEndpoint(ofEndpoint.id);
    await waitFor(() => ofEndpoint.ended.length > 0);
    await tenant.rest.ask('DELETE', '/v1/accounts/c');
    await waitFor(() => ofAccount.ended.length > 0);
    for (const over of [byKey, ofEndpoint, ofAccount]) expect(over.ended).toEqual(['gone']);

    feed.add('1');
    await waitFor(() => staying.items.length > 0 && disabled.items.length > 0);
    expect([staying.ended, disabled.ended, byKey.items]).toEqual([[], [], []]);
    for (const one of [byKey, ofEndpoint, ofAccount, disabled, staying]) one.close();
  });

  it('is told when what it would go on with has aged out, and is given nothing after it has closed', async () => {
    feed.clear();
    feed.add('1');
    const [late, closed] = [await followNew('f', tenant.keyId), await followNew('g', tenant.keyId)];
    await waitFor(() => late.items.length > 0 && closed.items.length > 0);
    closed.close();
    for (let n = 0; n < 3; n++) feed.add('n');
    feed.items.splice(0, 3);
    await waitFor(() => late.ended.length > 0);
    expect(late).toMatchObject({ items: [1], ended: ['expired'] });
    expect(closed).toMatchObject({ items: [1], ended: [] });
    late.close();
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TenantClient } from '@posthaste/test-kit';
import { documentOf, type Operation, operationsOf, pathOf } from '../proving/openapi-document.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// Whatever a tenant's or an account's key asks of what is another's, through every route there is: nothing is there.

let bed: TestBed;
let owner: TenantClient;
let operations: Operation[];
let owned: Record<string, string>;

const bodies: Record<string, unknown> = {
  createEndpoint: { url: 'https://receiver.example/' },
  recoverEndpoint: { since: '2026-01-02T03:04:05Z' },
  backfillEndpoint: { start_from: '2026-01-02T03:04:05Z' },
  putSource: { url: 'https://backend.example/events' },
  compareReceivedMessages: { ids: [] },
  compareReceivedMessagesOfAccount: { ids: [] },
  publishMessage: { event_type: 'a', payload: 1 },
  publishBatch: { messages: [{ event_type: 'a', payload: 1 }] },
};

beforeAll(async () => {
  bed = await startTestBed();
  owner = await bed.api.newTenant('owner');
  const { id: account } = await owner.putAccount('acme');
  const { id: endpoint } = await owner.createEndpoint('acme', { url: 'https://receiver.example/' });
  await owner.rest.put('/v1/accounts/acme/source', { url: 'http://127.0.0.1:1/' });
  await owner.rest.post('/v1/event-types', { name: 'owned.type' });
  owned = { account, endpoint, name: 'owned.type', tenant: owner.id, key: owner.keyId };
  // What is read through audit-log is told apart there, and proven with it.
  operations = operationsOf(await documentOf(bed.api)).filter(
    ({ path, tags, method }) =>
      path.includes('{') &&
      !(
        ['Deliveries', 'Replays'].some((tag) => tags.includes(tag)) ||
        (tags.includes('Messages') && method === 'GET')
      ),
  );
}, 60_000);
afterAll(() => bed.stop());

async function changesSoFar(): Promise<unknown> {
  const { rows } = await bed.database.query(
    `select (select count(*) from config.entity_version) as versions, (select count(*) from config.audit_entry) as audits,
            (select count(*) from config.idempotency) as keys`,
  );
  return rows;
}

describe.each(['another tenant', 'an account of another tenant', 'another account of the tenant'])(
  '%s',
  (who) => {
    it("finds nothing under another's ids, through any route, and changes nothing", async () => {
      const stranger = who === 'another account of the tenant' ? owner : await bed.api.newTenant('stranger');
      await stranger.putAccount('mine');
      const rest = who === 'another tenant' ? stranger.rest : await bed.api.accountClient(stranger, 'mine');
      const kind = who === 'another tenant' ? 'tenant' : 'account';
      const before = await changesSoFar();
      let asked = 0;
      for (const operation of operations) {
        // An account sees its tenant's catalogue.
        if (stranger === owner && operation.operationId === 'getEventType') continue;
        const path = pathOf(operation, (name) => owned[name] ?? 'x');
        const body = operation.requestBody && (bodies[operation.operationId] ?? {});
        const answer = await rest.send(operation.method, path, { body, headers: { 'idempotency-key': 'k' } });
        const expected = operation['x-access'].includes(kind) ? 404 : 403;
        expect([operation.operationId, refusalOf(answer)[0]]).toEqual([operation.operationId, expected]);
        asked++;
      }
      expect(asked).toBeGreaterThan(20);
      expect(await changesSoFar()).toEqual(before);
    }, 30_000);
  },
);

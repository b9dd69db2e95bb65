import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type RestClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { expectError, LinkupClient } from './proving/linkup-client.js';
import { message, type Post, posting } from './proving/publishing.js';
import { refusalOf } from './proving/refusal-of.js';
import { startTestBed, type TestBed } from './proving/test-bed.js';

// The whole service on one PostgreSQL, which holds its configuration and the log, and goes away.

let bed: TestBed;
let tenant: TenantClient;
let client: RestClient;
let post: Post;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  client = await bed.api.accountClient(tenant, 'acme');
  post = posting(bed.api, tenant);
}, 60_000);
afterAll(() => bed.stop());

const unavailable = [503, 'unavailable'];

async function servesAgain(): Promise<void> {
  await waitFor(async () => (await tenant.rest.get('/v1/accounts')).status === 200, { what: 'a read' });
  await waitFor(async () => (await post(message())).status === 202, { what: 'an accepted message' });
  const created = await tenant.rest.put('/v1/accounts/new', { name: `back at ${Date.now()}` });
  expect(created.status).toBeLessThan(300);
  await waitFor(async () => (await bed.database.query('select 1 from config.outbox')).rowCount === 0, {
    what: 'the relay to go on',
  });
  await waitFor(() => Object.keys(bed.api.health.failures()).length === 0, { what: 'readiness' });
}

it.each<[string, () => Promise<void>, () => Promise<void>]>([
  ['killed', () => bed.postgres.kill('SIGKILL'), () => bed.postgres.restart()],
  ['frozen', () => bed.postgres.kill('SIGSTOP'), () => bed.postgres.kill('SIGCONT')],
])(
  'with PostgreSQL %s everything is 503, and heals by itself',
  async (_, goAway, comeBack) => {
    expect((await post(message())).status).toBe(202);
    await goAway();
    try {
      const answers = await Promise.all([
        tenant.rest.get('/v1/accounts'),
        tenant.rest.get('/v1/accounts/acme'),
        tenant.rest.put('/v1/accounts/new', {}),
        tenant.rest.post('/v1/accounts/acme/endpoints', { url: 'https://receiver.example/' }),
        bed.api.operator.post('/v1/tenants', { name: 'x' }),
        post(message()),
        post(message(), { 'idempotency-key': 'away' }),
        post(`{"messages":[${message()}]}`, {}, { path: '/v1/accounts/acme/messages/batch' }),
      ]);
      for (const answer of answers) expect(refusalOf(answer)).toEqual(unavailable);
      for (const answer of await Promise.all([
        client.get('/v1/webhooks'),
        client.post('/v1/webhooks', { url: 'https://receiver.example/', enabled_events: ['*'] }),
      ])) {
        expect([answer.status, answer.json]).toEqual([
          503,
          { errors: [{ message: expect.stringMatching(/\S/) }] },
        ]);
      }
      // Under LinkUp's paths, in its words; it has no other code for what is on our side.
      const linkup = new LinkupClient(bed.api.url, tenant.key);
      const refused = await Promise.all([
        linkup.call('GET'),
        linkup.call('POST', { account_id: 'acme' }),
        linkup.call('GET /0123456789abcdef01234567/stream'),
      ]);
      for (const answer of refused) {
        expectError(answer, 'INTERNAL_ERROR');
        expect(answer.headers.get('retry-after')).toMatch(/^[1-9]/);
      }
      // What needs no database is still told apart.
      expect((await tenant.rest.get('/v1/nothing')).status).toBe(404);
      expect((await bed.api.as('garbage').get('/v1/accounts')).status).toBe(401);
    } finally {
      await comeBack();
    }
    await servesAgain();
  },
  90_000,
);

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TenantClient } from '@posthaste/test-kit';
import { loggedMessages, recordsOf } from '../proving/logged-messages.js';
import { message, MESSAGES, type Post, posting } from '../proving/publishing.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { forgetOldKeys } from './sql/forget-keys.js';

let bed: TestBed;
let tenant: TenantClient;
let post: Post;

beforeAll(async () => {
  bed = await startTestBed({ replicas: 2 });
  tenant = await bed.api.newTenant('publisher');
  post = posting(bed.api, tenant);
  await tenant.putAccount('acme');
}, 60_000);
afterAll(() => bed.stop());

describe('Idempotency-Key', () => {
  it('gets the answer of the first request, and no second message', async () => {
    const headers = { 'idempotency-key': 'once' };
    const first = await post(message(), headers);
    const second = await post(message(), headers, { api: bed.replica });
    expect(first.status).toBe(202);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(second).toMatchObject({ status: 202, json: first.json });
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(await recordsOf(bed.log, first.json.id)).toHaveLength(1);
  });

  it('is refused with another body, another account or another form', async () => {
    const headers = { 'idempotency-key': 'one body' };
    const reused = [422, 'idempotency_key_reused', 'Idempotency-Key used_otherwise'];
    await tenant.rest.put('/v1/accounts/second', {});
    expect((await post(message(), headers)).status).toBe(202);
    expect(refusalOf(await post(message({ payload: 2 }), headers))).toEqual(reused);
    expect(refusalOf(await post(message(), headers, { path: '/v1/accounts/second/messages' }))).toEqual(
      reused,
    );
    expect(refusalOf(await post(message(), { ...headers, 'webhook-event-type': 'a' }))).toEqual(reused);
  });

  it('makes one message of fifty requests at once, through two replicas', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        post(
          message({ tags: ['fifty'] }),
          { 'idempotency-key': 'fifty' },
          { api: i % 2 === 0 ? bed.api : bed.replica },
        ),
      ),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    const running = answers.filter(({ status }) => status === 409);
    expect(accepted.length).toBeGreaterThanOrEqual(1);
    expect(accepted.length + running.length).toBe(50);
    expect(new Set(accepted.map(({ json }) => json.id)).size).toBe(1);
    expect(accepted.filter(({ headers }) => !headers.has('idempotency-replayed'))).toHaveLength(1);
    for (const answer of running) {
      expect(refusalOf(answer)).toEqual([409, 'idempotency_in_progress', 'Idempotency-Key in_progress']);
      expect(answer.headers.get('retry-after')).toBe('1');
    }
    const records = (await loggedMessages(bed.log)).filter(({ meta }) => meta.tags?.includes('fifty'));
    expect(records).toHaveLength(1);
  });

  it('of a request that died is taken over, under the same message id', async () => {
    const headers = { 'idempotency-key': 'dead' };
    const first = await post(message(), headers);
    const died = `update config.idempotency set response = null, running_until = now() + $1::interval where key = 'dead'`;
    await bed.database.query(died, ['1 hour']);
    expect(refusalOf(await post(message(), headers))).toEqual([
      409,
      'idempotency_in_progress',
      'Idempotency-Key in_progress',
    ]);
    await bed.database.query(died, ['-1 second']);
    const second = await post(message(), headers);
    expect(second).toMatchObject({ status: 202, json: { id: first.json.id } });
    expect(second.headers.get('idempotency-replayed')).toBeNull();
  });

  it('is kept for a day', async () => {
    const headers = { 'idempotency-key': 'yesterday' };
    const first = await post(message(), headers);
    const age = `update config.idempotency set created_at = now() - $1::interval where key = 'yesterday'`;
    await bed.database.query(age, ['23 hours 59 minutes']);
    expect(await forgetOldKeys(bed.database)).toBe(0);
    await bed.database.query(age, ['24 hours 1 minute']);
    expect(await forgetOldKeys(bed.database)).toBe(1);
    expect((await post(message(), headers)).json.id).not.toBe(first.json.id);
  });

  it('covers a whole batch', async () => {
    const body = `{"messages":[${message()},${message({ payload: 2 })}]}`;
    const at = { path: `${MESSAGES}/batch` };
    const headers = { 'idempotency-key': 'batch' };
    const first = await post(body, headers, at);
    const second = await post(body, headers, at);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(second.json).toEqual(first.json);
    // The key is the route's own: the single route knows nothing of it.
    expect((await post(message(), headers)).headers.get('idempotency-replayed')).toBeNull();
    await bed.database.query(
      `update config.idempotency set response = null, running_until = '-infinity' where key = 'batch'`,
    );
    expect((await post(body, headers, at)).json).toEqual(first.json);
  });
});

describe('event_id', () => {
  it('published again answers 200 with the message it became, however it is written', async () => {
    const first = await post(message({ event_id: 'evt-1' }));
    const again = await post(`{ "event_id" : "evt-1", "payload":{"n":1}, "event_type":"invoice.paid" }`);
    const raw = await post('{"n":1}', { 'webhook-event-type': 'invoice.paid', 'webhook-event-id': 'evt-1' });
    expect([first.status, again.status, raw.status]).toEqual([202, 200, 200]);
    expect([again.json, raw.json]).toEqual([first.json, first.json]);
    expect(await recordsOf(bed.log, first.json.id)).toHaveLength(1);
    const other = await bed.api.newTenant('another');
    await other.rest.put('/v1/accounts/acme', {});
    expect((await post(message({ event_id: 'evt-1' }), {}, { key: other.key })).status).toBe(202);
  });

  it('is refused for another message', async () => {
    expect((await post(message({ event_id: 'evt-2' }))).status).toBe(202);
    expect(refusalOf(await post(message({ event_id: 'evt-2', payload: 2 })))).toEqual([
      422,
      'idempotency_key_reused',
      '/event_id used_otherwise',
    ]);
  });

  it('and Idempotency-Key agree on one message', async () => {
    const first = await post(message({ event_id: 'evt-3' }));
    const keyed = { 'idempotency-key': 'evt-3' };
    expect(await post(message({ event_id: 'evt-3' }), keyed)).toMatchObject({
      status: 200,
      json: first.json,
    });
    const replayed = await post(message({ event_id: 'evt-3' }), keyed);
    expect(replayed).toMatchObject({ status: 200, json: first.json });
    expect(replayed.headers.get('idempotency-replayed')).toBe('true');
  });
});

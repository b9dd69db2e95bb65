import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PublishedMessage } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { loggedMessages, recordsOf } from '../proving/logged-messages.js';
import { message, MESSAGES, type Post, posting } from '../proving/publishing.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

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

describe('a batch', () => {
  const batch = (...messages: string[]) =>
    post(`{"messages":[${messages.join()}]}`, {}, { path: `${MESSAGES}/batch` });

  it('is accepted whole, in order, with the messages it already knew', async () => {
    const known = await post(message({ event_id: 'evt-b' }));
    const answer = await batch(message(), message({ event_id: 'evt-b' }), message({ payload: [3] }));
    expect(answer.status).toBe(202);
    const data = (answer.json as unknown as { data: PublishedMessage[] }).data as {
      id: string;
      deliveries: number;
    }[];
    expect(data).toHaveLength(3);
    expect(data[1]).toEqual(known.json);
    expect((await recordsOf(bed.log, data[2]?.id ?? ''))[0]?.payload.toString()).toBe('[3]');
    expect(await recordsOf(bed.log, data[1]?.id ?? '')).toHaveLength(1);
  });

  it('is refused whole', async () => {
    const before = (await loggedMessages(bed.log)).length;
    const bad = await batch(message(), message(), message(), message({ event_type: '-' }));
    expect(refusalOf(bad)).toEqual([422, 'validation_failed', '/messages/3/event_type invalid_format']);
    const twice = await batch(message({ event_id: 'evt-c' }), message({ event_id: 'evt-c' }));
    expect(refusalOf(twice)).toEqual([422, 'validation_failed', '/messages/1/event_id not_unique']);
    // One id of the batch is another message's: the others are free again afterwards.
    const clash = await batch(message({ event_id: 'evt-d' }), message({ event_id: 'evt-b', payload: 0 }));
    expect(refusalOf(clash)).toEqual([422, 'idempotency_key_reused', '/messages/1/event_id used_otherwise']);
    expect((await loggedMessages(bed.log)).length).toBe(before);
    expect((await post(message({ event_id: 'evt-d' }))).status).toBe(202);
  });
});

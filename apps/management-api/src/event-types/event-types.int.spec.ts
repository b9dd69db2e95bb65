import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { EventType } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
}, 60_000);
afterAll(() => bed.stop());

describe('an event type', () => {
  it('is created, read, patched, archived and deleted by its name', async () => {
    const created = await tenant.rest.post('/v1/event-types', {
      name: 'invoice.paid',
      schema: { type: 'object' },
      example: { amount: 1 },
      group: 'billing',
    });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({
      schema: { type: 'object' },
      example: { amount: 1 },
      archived: false,
    });
    expect(refusalOf(await tenant.rest.post('/v1/event-types', { name: 'invoice.paid' }))).toEqual([
      409,
      'conflict',
      '/name taken',
    ]);
    const patched = await tenant.rest.patch('/v1/event-types/invoice.paid', {
      schema: null,
      example: [1],
      archived: true,
    });
    expect(patched.json).toMatchObject({
      schema: null,
      example: [1],
      group: 'billing',
      archived: true,
      version: 2,
    });
    expect((await tenant.rest.get<{ data: EventType[] }>('/v1/event-types')).json.data).toContainEqual(
      patched.json,
    );
    expect((await tenant.rest.delete('/v1/event-types/invoice.paid', { 'if-match': '"1"' })).status).toBe(
      412,
    );
    expect((await tenant.rest.delete('/v1/event-types/invoice.paid')).status).toBe(204);
    expect((await tenant.rest.get('/v1/event-types/invoice.paid')).status).toBe(404);
    expect((await tenant.rest.post('/v1/event-types', { name: 'invoice.paid' })).status).toBe(201);
  });
});

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { TenantClient } from '@posthaste/test-kit';
import fc from 'fast-check';
import { documentOf, type Operation, operationsOf, pathOf } from '../proving/openapi-document.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;
let operations: Operation[];
let known: string[];

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  const { id } = await tenant.createEndpoint('acme', { url: 'https://receiver.example/' });
  known = [id, 'acme', tenant.id, tenant.keyId];
  operations = operationsOf(await documentOf(bed.api));
}, 60_000);
afterAll(() => bed.stop());

const oddText = fc.oneof(
  fc.constantFrom(
    '',
    '\0',
    '..',
    '__proto__',
    '"',
    "'; --",
    '\ud800',
    '\u2028',
    'é',
    '0',
    '-1',
    '9'.repeat(400),
    'x'.repeat(5_000),
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
);
const oddValue = fc.oneof(
  oddText,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(null, true, 0, -1, 1e308, 2 ** 53, [], {}, [[]], { a: null }),
);
const fieldNames = [
  'url',
  'uid',
  'description',
  'event_types',
  'channels',
  'enabled',
  'mode',
  'profile',
  'retry_policy',
  'timeout_seconds',
  'headers',
  'oauth',
  'client_certificate',
  'metadata',
  'secret',
  'name',
  'scope',
  'account',
  'expires_at',
  'event_type_policy',
  'schema',
  'example',
  'group',
  'archived',
  'key',
  'overlap_seconds',
  'event_type',
  'payload',
  'tags',
  'event_id',
  'ordering_key',
  'messages',
  'constructor',
];
const oddBody = fc.oneof(
  fc.constant(undefined),
  fc.dictionary(fc.constantFrom(...fieldNames), oddValue, { maxKeys: 6 }).map((body) => JSON.stringify(body)),
  fc.jsonValue({ maxDepth: 4 }).map((body) => JSON.stringify(body)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);

it('whatever is asked of a route, it answers what its documentation says it may', async () => {
  const request = fc.record({
    at: fc.nat(),
    parameters: fc.infiniteStream(fc.oneof(fc.nat({ max: 3 }), oddText)),
    query: fc.dictionary(fc.constantFrom('limit', 'cursor', 'status', 'endpoint_id', 'since', 'x'), oddText, {
      maxKeys: 2,
    }),
    body: oddBody,
    headers: fc.record(
      {
        'if-match': fc.constantFrom('"1"', '*', 'W/"1"', '""', 'x'),
        'idempotency-key': fc.constantFrom('a', 'b', ' ', 'x'.repeat(256)),
        'content-type': fc.constantFrom(
          'application/json',
          'text/plain',
          'application/json;charset=latin1',
          'é',
        ),
        'webhook-event-type': fc.constantFrom('a', 'a b', 'x'.repeat(200)),
      },
      { requiredKeys: [] },
    ),
    asOperator: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ at, parameters, query, body, headers, asOperator }) => {
      const operation = operations[at % operations.length] as Operation;
      const path = pathOf(operation, () => {
        const part = parameters.next().value as string | number;
        return encodeURIComponent(typeof part === 'number' ? (known[part] ?? '') : part.toWellFormed());
      });
      const search = new URLSearchParams(query).toString();
      const client = asOperator ? bed.api.operator : tenant.rest;
      const answer = await client.send(operation.method, search === '' ? path : `${path}?${search}`, {
        body: operation.method === 'GET' ? undefined : body,
        headers,
      });
      // A part of the path that is empty makes it another path.
      if (
        answer.status === 405 ||
        new URL(path, 'http://x').pathname !== path ||
        path.includes('//') ||
        path.endsWith('/')
      ) {
        expect(answer.status).toBeLessThan(500);
        return;
      }
      expect(Object.keys(operation.responses)).toContain(String(answer.status));
      if (answer.status < 300) return;
      const [status, , error] = refusalOf(answer);
      // audit-log and the dispatcher are away here; the log and the database are not.
      if (status === 503)
        expect(answer.json).toMatchObject({ detail: expect.stringMatching(/^(History|No dispatcher) can/) });
      if (status === 422) expect(error).toBeDefined();
    }),
    { numRuns: 500 },
  );
}, 60_000);

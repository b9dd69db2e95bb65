import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import Fastify from 'fastify';
import {
  type Document,
  documentOf,
  type Operation,
  operationsOf,
  pathOf,
} from '../proving/openapi-document.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { rememberRoutes, undocumentedRoutes } from './routes.js';

let bed: TestBed;
let document: Document;
let operations: Operation[];

beforeAll(async () => {
  // Starts only when every route it has is in its document.
  bed = await startTestBed();
  document = await documentOf(bed.api);
  operations = operationsOf(document);
}, 60_000);
afterAll(() => bed.stop());

describe('the OpenAPI document', () => {
  it('is of version 3.1, and each of its references leads somewhere', () => {
    expect(document.openapi).toBe('3.1.0');
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref);
    expect(references.length).toBeGreaterThan(100);
    const dangling = references.filter((reference) => {
      const [root, ...names] = (reference ?? '').split('/');
      const target = names.reduce<unknown>(
        (at, name) => (at as Record<string, unknown> | undefined)?.[name],
        document,
      );
      return root !== '#' || target === undefined;
    });
    expect(dangling).toEqual([]);
  });

  it('names each operation once, and declares each parameter of its path', () => {
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, parameters, operationId } of operations) {
      const inPath = [...path.matchAll(/\{([a-z_]+)\}/g)].map(([, name]) => name);
      const declared = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      expect([operationId, ...declared]).toEqual([operationId, ...inPath]);
    }
  });

  it('says of every operation which keys open it; without one it answers 401', async () => {
    expect(operations.map(({ operationId }) => operationId)).toEqual(
      expect.arrayContaining(['publishMessage', 'publishBatch', 'createEndpoint', 'getPayload']),
    );
    for (const operation of operations) {
      expect(operation['x-access'].length).toBeGreaterThan(0);
      const path = pathOf(operation, () => 'x');
      const answer = await bed.api.as().send(operation.method, path);
      expect([operation.operationId, ...refusalOf(answer)]).toEqual([
        operation.operationId,
        401,
        'unauthenticated',
        'authorization required',
      ]);
    }
  });

  it('would not let a route go undescribed', async () => {
    const fastify = Fastify();
    rememberRoutes(fastify);
    const nothing = async () => ({});
    fastify.get('/v1/endpoints/:endpoint', nothing).post('/v1/endpoints/:endpoint/explode', nothing);
    await fastify.ready();
    expect(undocumentedRoutes(fastify, document)).toEqual(['POST /v1/endpoints/{endpoint}/explode']);
    await fastify.close();
  });
});

describe('the reference page', () => {
  it('shows the document, and asks for nothing that we do not serve', async () => {
    const page = await bed.api.as().get('/docs');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    const html = page.bytes.toString();
    const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url ?? '');
    expect(assets).toHaveLength(4);
    expect(html).not.toMatch(/https?:/);
    for (const asset of assets) {
      const { status, bytes } = await bed.api.as().get(asset);
      expect([asset, status]).toEqual([asset, 200]);
      expect(bytes.length).toBeGreaterThan(50);
    }
    expect((await bed.api.as().get('/docs/reference.js')).bytes.toString()).toContain("'/openapi.json'");
  });

  it('serves no other file beside its own', async () => {
    for (const path of [
      '/docs/package.json',
      '/docs/../package.json',
      '/docs/%2e%2e/package.json',
      '/docs/',
    ]) {
      expect((await bed.api.as().get(path)).status).toBe(404);
    }
  });
});

import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { type ApiKey, type NewApiKey, Permission } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import type { FastifyContextConfig } from 'fastify';
import { controllers } from '../app.module.js';
import { ada } from '../facades/ada/facade.js';
import { facadeOfUrl } from '../facades/facade-of.js';
import { linkup } from '../facades/linkup/facade.js';
import { middesk } from '../facades/middesk/facade.js';
import { documentOf, operationsOf, pathOf } from '../proving/openapi-document.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// What a key may do, asked of every route there is: those of the OpenAPI document, and those of the facades.

interface Asked {
  name: string;
  method: string;
  path: string;
  access: readonly string[];
  needs: Permission | undefined;
}

type Kind = 'tenant' | 'account';

let bed: TestBed;
let tenant: TenantClient;
let keys: string;
let documented: Asked[];
let ofFacades: Asked[];
const known = new Map<string, string>();

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  keys = `/v1/tenants/${tenant.id}/keys`;
  documented = operationsOf(await documentOf(bed.api)).map((operation) => ({
    name: operation.operationId,
    method: operation.method,
    path: pathOf(operation, () => 'nobody'),
    access: operation['x-access'],
    needs: operation['x-permission'],
  }));
  ofFacades = facadeRoutes();
}, 60_000);
afterAll(() => bed.stop());

/** What Nest has of the routes under the facades' prefixes. */
function facadeRoutes(): Asked[] {
  return controllers.flatMap((controller) => {
    const prefixes = [Reflect.getMetadata(PATH_METADATA, controller) as string | string[]].flat();
    const prototype = controller.prototype as unknown as Record<string, object>;
    return Object.getOwnPropertyNames(prototype).flatMap((name) => {
      const handler = prototype[name] as object;
      const paths = Reflect.getMetadata(PATH_METADATA, handler) as string | string[] | undefined;
      const verb = RequestMethod[Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod];
      const config = (Reflect.getMetadata('__fastify_route_config__', handler) ?? {}) as FastifyContextConfig;
      return (paths === undefined ? [] : [paths].flat())
        .flatMap((path) =>
          prefixes.map((prefix) => `/${prefix}/${path}`.replace(/\/+/g, '/').replace(/\/$/, '')),
        )
        .filter((path) => facadeOfUrl(path) !== undefined)
        .map((path) => ({
          ...{ name: `${verb} ${path}`, method: verb, path: path.replace(/:\w+/g, 'nobody') },
          ...{ access: config.access ?? [], needs: config.needs },
        }));
    });
  });
}

/** The whole of what each product says to a key that may not. */
function envelopeOf({ path }: Asked, message: unknown): unknown {
  switch (facadeOfUrl(path)) {
    case ada:
      return { errors: [{ type: 'authorization_error', message, details: null }] };
    case linkup:
      return {
        success: false,
        error: { code: 'INVALID_API_KEY', message },
        metadata: {
          action: expect.stringMatching(/^[a-z]+(_[a-z]+)*_(webhooks?|events|webhook_secret)$/),
          credits_consumed: 0,
          timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        },
      };
    case middesk:
      return { errors: [{ message }] };
    default:
      throw new Error(`${path} is no facade's`);
  }
}

async function keyOf(scope: Kind, permissions: Permission[]): Promise<string> {
  const name = `${scope} ${permissions.join()}`;
  const body = { scope, permissions, ...(scope === 'account' ? { account: 'acme' } : {}) };
  const key = known.get(name) ?? (await bed.api.operator.ask<NewApiKey>('POST', keys, { body })).key;
  known.set(name, key);
  return key;
}

const ask = ({ method, path }: Asked, key: string) =>
  bed.api.as(key).send(method, path, {
    headers: { 'x-api-key': key },
    body: method === 'GET' ? undefined : {},
  });

describe('every route for keys of tenants or accounts', () => {
  it('says what it needs', () => {
    const open = ({ access }: Asked) => access.includes('tenant') || access.includes('account');
    const silent = [...documented, ...ofFacades].filter((one) => open(one) !== (one.needs !== undefined));
    expect(silent.map(({ name }) => name)).toEqual([]);
    expect(documented.filter(open).length).toBeGreaterThan(25);
    expect(ofFacades.filter(open).length).toBeGreaterThanOrEqual(6);
    const used = new Set([...documented, ...ofFacades].map(({ needs }) => needs));
    expect(Permission.options.filter((one) => !used.has(one))).toEqual([]);
  });

  it.each<Kind>(['tenant', 'account'])(
    "refuses a %s's key that may do all the rest, and no key that may do just that",
    async (kind) => {
      for (const one of documented.filter(({ access }) => access.includes(kind))) {
        const needed = one.needs as Permission;
        const rest = Permission.options.filter((other) => other !== needed);
        const refused = await ask(one, await keyOf(kind, rest));
        expect([one.name, ...refusalOf(refused)]).toEqual([
          ...[one.name, 403, 'forbidden'],
          `authorization needs_${needed}`,
        ]);
        const { status, bytes } = await ask(one, await keyOf(kind, [needed]));
        expect([one.name, [401, 403].includes(status) && bytes.toString()]).toEqual([one.name, false]);
      }
    },
    60_000,
  );

  it("refuses in the product's own form where it is another product's", async () => {
    for (const one of ofFacades.filter(({ needs }) => needs !== undefined)) {
      const kind = one.access.includes('account') ? 'account' : 'tenant';
      const rest = Permission.options.filter((other) => other !== one.needs);
      const refused = await ask(one, await keyOf(kind, rest));
      expect([one.name, refused.status, refused.json]).toEqual([
        ...[one.name, 403],
        envelopeOf(one, expect.stringContaining(`${one.needs}`)),
      ]);
      expect(refused.headers.get('content-type')).toMatch(/^application\/json(;|$)/);
      const { status } = await ask(one, await keyOf(kind, [one.needs as Permission]));
      expect([one.name, [401, 403].includes(status)]).toEqual([one.name, false]);
    }
  });
});

describe('a key', () => {
  it('shows what it may do, and its versions and the audit tell', async () => {
    const permissions: Permission[] = ['endpoints:read', 'messages:write'];
    const made = await bed.api.operator.ask<NewApiKey>('POST', keys, {
      body: { scope: 'tenant', permissions },
    });
    expect(made.permissions).toEqual(permissions);
    expect(await bed.api.operator.ask<ApiKey>('GET', `${keys}/${made.id}`)).toMatchObject({ permissions });
    const { rows } = await bed.database.query<{ state: object; entry: object }>(
      `select v.state, a.entry from config.entity_version v join config.audit_entry a on a.id = v.audit_id
        where v.entity_id = $1`,
      [made.id],
    );
    expect(rows).toEqual([
      {
        state: expect.objectContaining({ permissions }) as unknown,
        entry: expect.objectContaining({ changed: ['scope', 'name', 'permissions'] }) as unknown,
      },
    ]);
  });

  it('without permissions of its own may do all its scope can reach', async () => {
    const { permissions } = await bed.api.operator.ask<ApiKey>('GET', `${keys}/${tenant.keyId}`);
    expect(permissions).toBeNull();
    expect((await tenant.rest.get('/v1/accounts')).status).toBe(200);
  });

  it.each<[string, unknown, string]>([
    ['none', [], '/permissions too_few'],
    ['one that is none', ['endpoints:explode'], '/permissions/0 invalid_value'],
    ['one twice', ['endpoints:read', 'endpoints:read'], '/permissions repeated'],
    ['null', null, '/permissions wrong_type'],
    ['a number', 7, '/permissions wrong_type'],
  ])('is not made with %s', async (_, permissions, rule) => {
    const answer = await bed.api.operator.post(keys, { scope: 'tenant', permissions });
    expect(refusalOf(answer)).toEqual([422, 'validation_failed', rule]);
  });

  it('that may not publish is not told which accounts there are', async () => {
    const rest = bed.api.as(await keyOf('tenant', ['messages:read']));
    for (const account of ['acme', 'nobody']) {
      const answer = await rest.post(`/v1/accounts/${account}/messages`, { event_type: 'a', payload: 1 });
      expect(refusalOf(answer)[0]).toBe(403);
    }
  });
});

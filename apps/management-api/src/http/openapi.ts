import 'reflect-metadata';
import { RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA, ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { ProblemDetails } from '@posthaste/contracts';
import { z } from 'zod';
import { OPERATION, type OperationDoc } from './operation.js';

/**
 * The OpenAPI 3.1 document, made from what the routes themselves declare: Nest's decorators give paths, parameters and
 * bodies, `@Operation` the rest. A route without `@Operation` is not of the API. zod writes JSON Schema 2020-12, which is
 * what OpenAPI 3.1 means by a schema, so nothing is converted.
 */
export type JsonObject = Record<string, unknown>;
export type Paths = Record<string, Record<string, JsonObject>>;

export interface OpenApiParts {
  controllers: Type[];
  /** Routes that are not Nest's, by OpenAPI path and method, with their schemas by name. */
  others: { paths: Paths; schemas?: Record<string, JsonObject> }[];
  version: string;
}

export function openApiDocument({
  controllers,
  others,
  version,
}: OpenApiParts): JsonObject & { paths: Paths } {
  const schemas = new Schemas();
  const paths: Paths = {};
  for (const controller of controllers) {
    for (const { path, method, handler } of routesOf(controller)) {
      (paths[path] ??= {})[method] = operationOf(path, method, handler, controller, schemas);
    }
  }
  for (const other of others) {
    for (const [path, methods] of Object.entries(other.paths)) Object.assign((paths[path] ??= {}), methods);
    Object.assign(schemas.components, other.schemas);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Posthaste',
      version,
      description: 'Sends webhooks on behalf of a product to its customers, and can prove what it did.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    tags: tagsOf(paths).map((name) => ({ name })),
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1))),
    components: {
      securitySchemes: {
        key: {
          type: 'http',
          scheme: 'bearer',
          description:
            'The operator key for tenants and their keys; a tenant or account key for the rest. A key that was made with ' +
            'permissions opens only the operations whose `x-permission` is among them.',
        },
      },
      responses: {
        Problem: {
          description: 'Refused; `code` says why.',
          content: { 'application/problem+json': { schema: schemas.of(ProblemDetails, 'output') } },
        },
      },
      schemas: schemas.components,
    },
  };
}

/** Collects named schemas as components and refers to them. */
export class Schemas {
  readonly components: Record<string, JsonObject> = {};

  of(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
    const { $defs = {}, ...root } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
    const id = schema.meta()?.id;
    const defs = JSON.parse(toComponents($defs)) as Record<string, JsonObject>;
    for (const [name, def] of Object.entries(defs)) this.components[name] = withoutId(def);
    delete root.$schema;
    const own = withoutId(JSON.parse(toComponents(root)) as JsonObject);
    if (id === undefined || '$ref' in own) return own;
    this.components[id] = own;
    return { $ref: `#/components/schemas/${id}` };
  }
}

function toComponents(schema: unknown): string {
  return JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/');
}

/** The name is the component's key already. */
function withoutId({ id: _, ...schema }: JsonObject): JsonObject {
  return schema;
}

interface Route {
  path: string;
  method: string;
  handler: string;
}

function routesOf(controller: Type): Route[] {
  const prefix = Reflect.getMetadata(PATH_METADATA, controller) as string;
  const prototype = controller.prototype as Record<string, object>;
  return Object.getOwnPropertyNames(prototype).flatMap((handler) => {
    const method = prototype[handler];
    if (!method || !Reflect.hasMetadata(OPERATION, method)) return [];
    const verb = RequestMethod[Reflect.getMetadata(METHOD_METADATA, method) as RequestMethod].toLowerCase();
    return [Reflect.getMetadata(PATH_METADATA, method) as string | string[]].flat().map((path) => ({
      path: `/${prefix}/${path}`
        .replace(/\/+/g, '/')
        .replace(/(.)\/$/, '$1')
        .replace(/:([A-Za-z_]+)/g, '{$1}'),
      method: verb,
      handler,
    }));
  });
}

interface Argument {
  data?: string;
  schema?: z.ZodType;
}

function operationOf(
  path: string,
  method: string,
  handler: string,
  controller: Type,
  schemas: Schemas,
): JsonObject {
  const doc = Reflect.getMetadata(
    OPERATION,
    (controller.prototype as Record<string, object>)[handler] as object,
  ) as OperationDoc;
  const args = Object.entries(
    (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, handler) ?? {}) as Record<string, Argument>,
  ).map(([key, argument]) => ({ ...argument, type: key.split(':')[0] }));
  const of = (wanted: RouteParamtypes) => args.filter(({ type }) => type === String(wanted));
  const body = of(RouteParamtypes.BODY).find(({ schema }) => schema)?.schema;
  const headers = of(RouteParamtypes.HEADERS).map(({ data }) => data ?? '');
  const straight = path.startsWith('/v1/endpoints/') || !path.includes('/endpoints/');
  return {
    operationId: straight ? doc.id : `${doc.id}OfAccount`,
    tags: [doc.tag],
    summary: doc.summary,
    ...(doc.description === undefined ? {} : { description: doc.description }),
    'x-access': doc.access,
    ...(doc.needs === undefined ? {} : { 'x-permission': doc.needs }),
    parameters: [
      ...[...path.matchAll(/\{([a-z_]+)\}/g)].map(([, name]) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' },
      })),
      ...of(RouteParamtypes.QUERY).flatMap(({ schema }) => (schema ? queryParameters(schema, schemas) : [])),
      ...headers.map((name) => ({ name, in: 'header', schema: { type: 'string' } })),
    ],
    ...(body
      ? {
          requestBody: {
            required: doc.optionalBody !== true,
            content: { 'application/json': { schema: schemas.of(body, 'input') } },
          },
        }
      : {}),
    responses: responsesOf(
      doc,
      { method, path, hasBody: body !== undefined, hasIfMatch: headers.includes('if-match') },
      schemas,
    ),
  };
}

function queryParameters(schema: z.ZodType, schemas: Schemas): JsonObject[] {
  const { properties = {}, required = [] } = schemas.of(schema, 'input') as {
    properties?: Record<string, JsonObject>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...field }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: field,
  }));
}

function responsesOf(
  { status, answers, mediaType = 'application/json', etag, problems: more = [] }: OperationDoc,
  {
    method,
    path,
    hasBody,
    hasIfMatch,
  }: { method: string; path: string; hasBody: boolean; hasIfMatch: boolean },
  schemas: Schemas,
): JsonObject {
  const answer = {
    description: status === 204 ? 'Done.' : 'As asked.',
    ...(etag
      ? { headers: { ETag: { schema: { type: 'string' }, description: 'The version, in quotes.' } } }
      : {}),
    ...(answers ? { content: { [mediaType]: { schema: schemas.of(answers, 'output') } } } : {}),
  };
  const created = method === 'put' ? { 201: { ...answer, description: 'Created.' } } : {};
  // 408, 431: any request may come too slowly, or with too much in its headers. 503: PostgreSQL may be away.
  const refused = new Set([400, 401, 403, 408, 431, 503, ...more]);
  if (path.includes('{')) refused.add(404);
  // A uid alone may name several endpoints.
  if (path.startsWith('/v1/endpoints/')) refused.add(409);
  // A body that is not asked for is still read.
  if (method !== 'get') for (const code of [413, 415]) refused.add(code);
  if (hasBody) refused.add(422);
  if (hasIfMatch) refused.add(412);
  return {
    [status]: answer,
    ...created,
    ...Object.fromEntries([...refused].map((code) => [code, { $ref: '#/components/responses/Problem' }])),
  };
}

function tagsOf(paths: Paths): string[] {
  const tags = Object.values(paths).flatMap((methods) =>
    Object.values(methods).flatMap(({ tags: names }) => (names ?? []) as string[]),
  );
  return [...new Set(tags)];
}

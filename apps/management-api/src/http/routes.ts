import type { FastifyInstance, FastifyRequest } from 'fastify';
import { facadeOfUrl } from '../facades/facade-of.js';

interface Route {
  /** As Fastify knows it, such as `/v1/endpoints/:endpoint`. */
  url: string;
  method: string;
  pattern: RegExp;
}

const routesOf = new WeakMap<object, Route[]>();

/** Remembers every route from now on, so that a known path asked with another method gets 405 and not 404. */
export function rememberRoutes(fastify: FastifyInstance): void {
  const routes: Route[] = [];
  routesOf.set(fastify.server, routes);
  fastify.addHook('onRoute', ({ url, method }) => {
    // A wildcard serves files; it says nothing about paths.
    if (url.includes('*')) return;
    const source = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/:[A-Za-z_]+/g, '[^/]+');
    for (const one of [method].flat()) routes.push({ url, method: one, pattern: new RegExp(`^${source}$`) });
  });
}

/** The methods the path of an unrouted request is served with; none when it was not the method that was wrong. */
export function allowedMethods(request: FastifyRequest): string[] {
  const path = request.url.split('?', 1)[0] ?? '';
  const routes = routesOf.get(request.server.server) ?? [];
  const methods = new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
  return methods.has(request.method) ? [] : [...methods];
}

/** Routes of the API that the OpenAPI document does not describe, such as `GET /v1/endpoints/{endpoint}`. */
export function undocumentedRoutes(fastify: FastifyInstance, document: { paths: object }): string[] {
  const paths = document.paths as Record<string, object>;
  return (routesOf.get(fastify.server) ?? [])
    .filter(({ url, method }) => url.startsWith('/v1') && method !== 'HEAD' && !facadeOfUrl(url))
    .map(({ url, method }) => ({ path: url.replace(/:([A-Za-z_]+)/g, '{$1}'), method }))
    .filter(({ path, method }) => !(method.toLowerCase() in (paths[path] ?? {})))
    .map(({ path, method }) => `${method} ${path}`);
}

import type { FastifyInstance, FastifyRequest } from 'fastify';

const routesOf = new WeakMap<object, { pattern: RegExp; method: string }[]>();

/** Remembers every route, so that a known path asked with another method gets 405 and not 404. */
export function rememberRoutes(fastify: FastifyInstance): void {
  const routes: { pattern: RegExp; method: string }[] = [];
  routesOf.set(fastify.server, routes);
  fastify.addHook('onRoute', ({ url, method }) => {
    // A wildcard serves files; it says nothing about paths.
    if (url.includes('*')) return;
    const source = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/:[A-Za-z_]+/g, '[^/]+');
    for (const one of [method].flat()) routes.push({ pattern: new RegExp(`^${source}$`), method: one });
  });
}

/** The methods the path of an unrouted request is served with. */
export function allowedMethods(request: FastifyRequest): string[] {
  const path = request.url.split('?', 1)[0] ?? '';
  const routes = routesOf.get(request.server.server) ?? [];
  return [...new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))];
}

import type { Socket } from 'node:net';
import type { Problem } from '@posthaste/runtime';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { facadeOf, facadeOfUrl, routedUrl } from './facade-of.js';
import type { Refusal } from './facade.js';

/** The facades' requests whose answer is due, for what goes wrong with their sockets. */
const beingServed = new WeakMap<Socket, FastifyRequest>();

/** Has facades' requests be read as their products read them. Must run before their routes are registered. */
export function readAsFacadesDo(fastify: FastifyInstance): void {
  fastify.addHook('onRoute', (route) => {
    const facade = facadeOfUrl(route.url);
    if (!facade) return;
    if (facade.bodyLimitBytes !== undefined) route.bodyLimit = facade.bodyLimitBytes;
    route.onRequest = [route.onRequest ?? []].flat();
    route.onRequest.push((request, _, done) => {
      beingServed.set(request.raw.socket, request);
      if (facade.ignoresTypeOfNothing && isEmpty(request)) delete request.headers['content-type'];
      done();
    });
    route.onResponse = [route.onResponse ?? []].flat();
    route.onResponse.push((request, _, done) => {
      const { socket } = request.raw;
      // A caller that does not wait for answers may have asked again by now.
      if (beingServed.get(socket) === request) beingServed.delete(socket);
      done();
    });
  });
}

function isEmpty({ headers }: FastifyRequest): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
  return length === '0' && encoding === undefined;
}

/**
 * How a product says that the rest of a request did not come, or is no HTTP; undefined when it is not a facade's, or when
 * that is not known.
 *
 * @param packet what could not be read: it has the first line when nothing of the request came before it
 */
export function refusalOnSocket(problem: Problem, socket: Socket, packet?: Buffer): Refusal | undefined {
  const served = beingServed.get(socket);
  if (served) return facadeOf(served)?.refusal(problem, served);
  const [, method, target] = FIRST_LINE.exec(packet?.toString('latin1', 0, LONGEST_LINE) ?? '') ?? [];
  if (method === undefined || target === undefined) return undefined;
  const url = routedUrl(target);
  return facadeOfUrl(url)?.refusal(problem, { method, url });
}

const FIRST_LINE = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r\n/;
const LONGEST_LINE = 8_192;

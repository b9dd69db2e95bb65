import { newId } from '@posthaste/contracts';
import { type Logger, Problem, type ProblemCode } from '@posthaste/runtime';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { routedUrl } from '../facades/facade-of.js';
import { readAsFacadesDo, refusalOnSocket } from '../facades/facade-requests.js';
import { serveEventStreams } from '../feeds/sse.js';
import { parseJsonBody } from './json-body.js';
import { answerOf, sendProblem } from './problem-filter.js';
import { unsupportedMediaType } from './refusals.js';
import { rememberRoutes } from './routes.js';
import { endUnusedAtClose } from './unused-connections.js';

const BODY_LIMIT_BYTES = 1_048_576;
const HEADER_LIMIT_BYTES = 16_384;
/** A whole request, body included, must have arrived by then: a drip-feeding caller holds a socket no longer. */
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** Above the 60 s most load balancers keep an idle connection, so that they close it first. */
const KEEP_ALIVE_MS = 72_000;
/** Ours take at most 128 characters; percent-encoded, three times that. */
const MAX_PARAM_CHARS = 400;
const CALLERS_REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** The HTTP server under Nest: limits on what is read, and one shape of answer for what is refused. */
export function createAdapter(): FastifyAdapter {
  return new FastifyAdapter({
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { maxHeaderSize: HEADER_LIMIT_BYTES, headersTimeout: HEADERS_TIMEOUT_MS },
    routerOptions: { maxParamLength: MAX_PARAM_CHARS },
    rewriteUrl: ({ url = '/' }: IncomingMessage) => routedUrl(url),
    genReqId: (request: IncomingMessage) => requestId(request.headers['x-request-id']),
    clientErrorHandler: answerUnreadable,
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      reply.header('x-request-id', request.id);
      sendProblem(reply, request, error);
    },
    // The connection of a keep-alive client must not hold up a stop.
    forceCloseConnections: 'idle',
  });
}

/** Must run before Nest registers its routes. */
export function prepareServer(fastify: FastifyInstance, logger: Logger): void {
  rememberRoutes(fastify);
  readAsFacadesDo(fastify);
  endUnusedAtClose(fastify);
  serveEventStreams(fastify);
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    logger.debug(
      {
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        requestId: request.id,
      },
      'request.answered',
    );
    done();
  });
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(
    /^application\/(json|merge-patch\+json)\s*(;|$)/i,
    { parseAs: 'buffer' },
    (request, body: Buffer, done) => {
      const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(request.headers['content-type'] ?? '')?.[1];
      if (charset !== undefined && charset.toLowerCase() !== 'utf-8') {
        done(unsupportedMediaType('JSON is read as UTF-8 only.'));
        return;
      }
      try {
        done(null, body.length === 0 ? undefined : parseJsonBody(body));
      } catch (error) {
        done(error as Error);
      }
    },
  );
}

function requestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && CALLERS_REQUEST_ID.test(given) ? given : newId('request');
}

/** `rawPacket` is a Buffer, whatever the types of Fastify say. */
type UnreadableError = NodeJS.ErrnoException & { rawPacket?: unknown };

const unreadable: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

/**
 * What is not HTTP, or comes too late, never reaches a route's handler; it is answered on the socket. Whose API was asked
 * is known once the request's headers have been read, or when its first line is in what could not be.
 */
function answerUnreadable(error: UnreadableError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const problem = new Problem(unreadable[error.code ?? ''] ?? 'invalid_request');
  const packet = Buffer.isBuffer(error.rawPacket) ? error.rawPacket : undefined;
  const refusal = refusalOnSocket(problem, socket, packet);
  const { status, type, text } = answerOf(problem, refusal, newId('request'), '/');
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
    );
  }
  socket.destroy(error);
}

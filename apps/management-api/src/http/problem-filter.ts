import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { type Logger, Problem, problemBody, type ProblemCode, problems } from '@posthaste/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { QueryFailedError } from 'typeorm';
import { allowedMethods } from './routes.js';

/** Answers everything thrown, by Nest's handlers and by Fastify itself, as one kind of body. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(http.getResponse<FastifyReply>(), http.getRequest<FastifyRequest>(), error, this.logger);
  }
}

/** Answers a request with what went wrong. Native Fastify routes may use it as their error handler. */
export function sendProblem(
  reply: FastifyReply,
  request: FastifyRequest,
  error: unknown,
  logger?: Logger,
): void {
  const methods = request.is404 ? allowedMethods(request) : [];
  if (methods.length > 0) reply.header('allow', methods.join(', '));
  const problem =
    methods.length > 0
      ? new Problem('method_not_allowed', `${request.method} is not served here; ${methods.join(', ')} is.`)
      : problemOf(error);
  if (problem.status >= 500) {
    logger?.error({ err: error, requestId: request.id, url: pathOf(request) }, 'request.failed');
  }
  if (problem.retryAfterSeconds !== undefined) reply.header('retry-after', problem.retryAfterSeconds);
  if (reply.sent) return;
  void reply
    .status(problem.status)
    .header('content-type', 'application/problem+json')
    .send(JSON.stringify(problemBody(problem, request.id, pathOf(request))));
}

const codeOfStatus = new Map<number, ProblemCode>([
  [400, 'invalid_request'],
  [404, 'not_found'],
  [405, 'method_not_allowed'],
  [413, 'payload_too_large'],
  // A path parameter too long to be anything of ours.
  [414, 'not_found'],
  [415, 'unsupported_media_type'],
  [431, 'headers_too_large'],
  [503, 'unavailable'],
]);

const DATABASE_DOWN = /^(08|57P|53)/;

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const status = error instanceof HttpException ? error.getStatus() : statusOf(error);
  const code = codeOfStatus.get(status);
  if (code) return new Problem(code, problems[code].title);
  if (isDatabaseDown(error)) {
    return new Problem('unavailable', 'The configuration database cannot be reached.', [], 1);
  }
  return new Problem('internal_error');
}

function statusOf(error: unknown): number {
  return (error as { statusCode?: number } | null)?.statusCode ?? 500;
}

function isDatabaseDown(error: unknown): boolean {
  const cause = error instanceof QueryFailedError ? (error.driverError as Error) : (error as Error | null);
  const code = (cause as { code?: unknown } | null)?.code;
  return (
    (typeof code === 'string' && (DATABASE_DOWN.test(code) || code.startsWith('ECONN'))) ||
    /Connection terminated|timeout exceeded when trying to connect/.test(cause?.message ?? '')
  );
}

/** The path without its query, which may hold what a caller wants kept out of logs. */
function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? request.url;
}

import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { isDatabaseAway, type Logger, Problem, problemBody, problems } from '@posthaste/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { facadeOf } from '../facades/facade-of.js';
import type { Refusal } from '../facades/facade.js';
import { afterTheRest } from './rest-of-body.js';
import { databaseAway, fieldProblem, unsupportedMediaType } from './refusals.js';
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
    logger?.error({ err: plainError(error), requestId: request.id, url: pathOf(request) }, 'request.failed');
  }
  const facade = facadeOf(request);
  const challenges = facade ? facade.challenges : ['Bearer'];
  if (problem.code === 'unauthenticated' && challenges) reply.header('www-authenticate', challenges);
  if (problem.retryAfterSeconds !== undefined) reply.header('retry-after', problem.retryAfterSeconds);
  const answer = (): void => {
    if (reply.sent) return;
    const refusal = facade?.refusal(problem, request);
    const { status, type, text } = answerOf(problem, refusal, request.id, pathOf(request));
    void reply.status(status).header('content-type', type).send(text);
  };
  if (problem.code === 'payload_too_large') afterTheRest(request.raw, answer);
  else answer();
}

/** What is sent: the refusal of the product that was asked, or else ours. */
export function answerOf(
  problem: Problem,
  refusal: Refusal | undefined,
  requestId: string,
  path: string,
): { status: number; type: string; text: string } {
  if (refusal)
    return { status: refusal.status, type: 'application/json', text: JSON.stringify(refusal.body) };
  const text = JSON.stringify(problemBody(problem, requestId, path));
  return { status: problem.status, type: 'application/problem+json', text };
}

/** What Nest and Fastify refuse by themselves, by their status. */
const refusals = new Map<number, () => Problem>([
  [400, () => new Problem('invalid_request')],
  [404, () => new Problem('not_found')],
  [405, () => new Problem('method_not_allowed')],
  [
    413,
    () => fieldProblem([{ pointer: '', code: 'too_large', message: 'is too large' }], 'payload_too_large'),
  ],
  // A path parameter too long to be anything of ours.
  [414, () => new Problem('not_found')],
  [415, () => unsupportedMediaType(problems.unsupported_media_type.title)],
  [431, () => new Problem('headers_too_large')],
  [503, () => new Problem('unavailable')],
]);

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const status = error instanceof HttpException ? error.getStatus() : statusOf(error);
  const refused = refusals.get(status)?.();
  return refused ?? (isDatabaseAway(error) ? databaseAway() : new Problem('internal_error'));
}

function statusOf(error: unknown): number {
  return (error as { statusCode?: number } | null)?.statusCode ?? 500;
}

/** An error as far as it may be logged: a failed query also carries its parameters, and those hold what callers sent. */
function plainError(error: unknown): unknown {
  const { name, message, stack, code } = (error ?? {}) as Partial<Error> & { code?: unknown };
  return { type: name, message, stack, code };
}

/** The path without its query, which may hold what a caller wants kept out of logs. */
function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? request.url;
}

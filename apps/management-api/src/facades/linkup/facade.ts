import type { Problem } from '@posthaste/runtime';
import type { FastifyRequest } from 'fastify';
import { type Asked, type Facade, nameOf, type Refusal } from '../facade.js';
import { actionOf, metadataOf, UNKNOWN_ACTION } from './envelope.js';

/** LinkUp's webhook API (https://docs.linkupapi.com/api-reference/v2/webhooks/introduction). */
export const linkup: Facade = {
  prefix: '/v2/webhooks',
  trailingSlash: true,
  ignoresTypeOfNothing: true,
  authorization,
  refusal,
};

/** The key is a header of its own; only the stream, whose clients can set none, may have it in its query. */
function authorization(request: FastifyRequest): string | undefined {
  const { api_key: inQuery } = request.query as { api_key?: unknown };
  const key = request.headers['x-api-key'] ?? (actionOf(request) === 'stream_webhook' ? inQuery : undefined);
  return typeof key === 'string' ? `Bearer ${key}` : undefined;
}

interface LinkupError {
  status: number;
  code: string;
  message: string;
}

function refusal(problem: Problem, asked: Asked): Refusal {
  const { status, ...error } = errorOf(problem, asked);
  return { status, body: { success: false, error, metadata: metadataOf(asked) } };
}

/**
 * https://docs.linkupapi.com/api-reference/v2/error-codes: each code has one status. What is wrong with a request beside
 * its key and its webhook is one of its parameters. A path or method nobody serves is an action there is not, and so a
 * 400 and no 404 or 405; what could not be done just now is the 500 of everything on our side, with its Retry-After.
 */
function errorOf(problem: Problem, asked: Asked): LinkupError {
  const message = messageOf(problem);
  switch (problem.status) {
    case 401:
      return { status: 403, code: 'INVALID_API_KEY', message: 'The API key is missing or not valid.' };
    case 402:
      return { status: 402, code: 'INSUFFICIENT_CREDITS', message };
    case 403:
      return { status: 403, code: 'INVALID_API_KEY', message };
    case 404:
    case 405:
      return actionOf(asked) === UNKNOWN_ACTION
        ? { status: 400, code: 'INVALID_ACTION', message: `${asked.method} is no action of this path.` }
        : { status: 404, code: 'INVALID_ACCOUNT', message };
    case 429:
      return { status: 429, code: 'RATE_LIMITED', message };
    default:
      return problem.status >= 500
        ? { status: 500, code: 'INTERNAL_ERROR', message }
        : { status: 400, code: 'INVALID_PARAMS', message };
  }
}

/** Every field that is wrong, by the name the caller gave it. */
function messageOf({ errors, detail, status }: Problem): string {
  if (errors.length === 0 || status === 404) return detail;
  const named = errors.map(({ pointer, message }) => {
    const name = nameOf(pointer);
    return `${name === '' ? 'The body' : name} ${message}`;
  });
  return `${named.join('; ')}.`;
}

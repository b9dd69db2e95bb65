import type { FieldError, Problem, ProblemCode } from '@posthaste/runtime';
import type { Facade, Refusal } from '../facade.js';

/**
 * Ada's webhook API (https://docs.ada.cx/reference/webhooks/overview), and how it says no: always a list of errors, even
 * of one, each with a slug. Of the slugs Ada documents `validation_error` only; the others are our reading of the titles
 * in its list of statuses, in this one table. Statuses that are not in that list become the nearest one that is, but for
 * 405, of which Ada says nothing, and 503.
 */
export const ada: Facade = {
  prefix: '/api/v2/webhooks',
  // Its own paths end in one or not, without a rule.
  trailingSlash: true,
  // Its "10 MB" may be either kind of megabyte.
  bodyLimitBytes: 10 * 1_048_576,
  // Clients say one with `rotate`, of which Ada shows no body.
  ignoresTypeOfNothing: true,
  authorization: (request) => request.headers.authorization,
  refusal,
};

const refusals: Record<ProblemCode, { status: number; type: string }> = {
  invalid_request: { status: 400, type: 'bad_request' },
  malformed_json: { status: 400, type: 'bad_request' },
  invalid_cursor: { status: 400, type: 'bad_request' },
  unauthenticated: { status: 401, type: 'unauthorized' },
  forbidden: { status: 403, type: 'authorization_error' },
  insufficient_credits: { status: 403, type: 'authorization_error' },
  not_found: { status: 404, type: 'not_found' },
  method_not_allowed: { status: 405, type: 'method_not_allowed' },
  request_timeout: { status: 408, type: 'request_timeout' },
  conflict: { status: 409, type: 'conflict' },
  idempotency_in_progress: { status: 409, type: 'conflict' },
  precondition_failed: { status: 409, type: 'conflict' },
  feed_expired: { status: 404, type: 'not_found' },
  tail_expired: { status: 404, type: 'not_found' },
  payload_too_large: { status: 413, type: 'content_too_large' },
  unsupported_media_type: { status: 400, type: 'bad_request' },
  validation_failed: { status: 400, type: 'bad_request' },
  idempotency_key_reused: { status: 422, type: 'unprocessable_content' },
  precondition_required: { status: 400, type: 'bad_request' },
  too_many_requests: { status: 429, type: 'too_many_requests' },
  headers_too_large: { status: 400, type: 'bad_request' },
  internal_error: { status: 500, type: 'internal_server_error' },
  unavailable: { status: 503, type: 'service_unavailable' },
};

/** What is wrong with fields or parameters is one error, with its details. */
function refusal({ code, detail, errors }: Problem): Refusal {
  const { status, type } = refusals[code];
  const details = status === 400 && code !== 'malformed_json' ? errors.flatMap(validationDetail) : [];
  const [first] = details;
  if (first === undefined) return { status, body: { errors: [{ type, message: detail, details: null }] } };
  const message = code === 'invalid_cursor' ? detail : `${first.parameter} ${first.message}`;
  return { status, body: { errors: [{ type: 'validation_error', message, details }] } };
}

interface ValidationDetail {
  /** A JSON path. */
  parameter: string;
  location: 'body' | 'query';
  message: string;
}

/** None for what is wrong elsewhere, such as in a header. */
function validationDetail({ pointer, message }: FieldError): ValidationDetail[] {
  if (pointer.startsWith('?')) return [{ parameter: `$.${pointer.slice(1)}`, location: 'query', message }];
  if (pointer !== '' && !pointer.startsWith('/')) return [];
  return [{ parameter: jsonPathOf(pointer), location: 'body', message }];
}

/** `/event_filters/0` as `$.event_filters[0]`. */
function jsonPathOf(pointer: string): string {
  const steps = pointer.split('/').slice(1);
  const path = steps.map((step) => {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (/^\d+$/.test(name)) return `[${name}]`;
    return /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
  });
  return `$${path.join('')}`;
}

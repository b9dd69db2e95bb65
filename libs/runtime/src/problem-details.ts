/**
 * RFC 9457 problem details: the one place where a reason becomes an HTTP status. `code` is ours and stable; `type` is
 * a URI made of it; `errors` name the field (RFC 6901 pointer into the body, or a parameter), the rule and the place.
 */
export const problems = {
  invalid_request: { status: 400, title: 'The request is not valid' },
  malformed_json: { status: 400, title: 'The body is not valid JSON' },
  invalid_cursor: { status: 400, title: 'The cursor cannot be used here' },
  unauthenticated: { status: 401, title: 'A valid API key is needed' },
  insufficient_credits: { status: 402, title: 'The credits for monitoring are used up' },
  forbidden: { status: 403, title: 'This key may not do that' },
  not_found: { status: 404, title: 'There is nothing here' },
  method_not_allowed: { status: 405, title: 'This method is not served here' },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  conflict: { status: 409, title: 'The request conflicts with the current state' },
  idempotency_in_progress: {
    status: 409,
    title: 'The first request with this Idempotency-Key is still running',
  },
  feed_expired: { status: 410, title: 'What comes after this place in the feed is not kept any more' },
  tail_expired: { status: 410, title: 'What comes after this place in the tail is not kept any more' },
  precondition_failed: { status: 412, title: 'The resource has changed since it was read' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The content type is not served here' },
  validation_failed: { status: 422, title: 'Some fields are not valid' },
  idempotency_key_reused: { status: 422, title: 'This Idempotency-Key was used with another body' },
  precondition_required: { status: 428, title: 'If-Match is needed here' },
  too_many_requests: { status: 429, title: 'Too many requests' },
  headers_too_large: { status: 431, title: 'The request headers are too large' },
  internal_error: { status: 500, title: 'Something went wrong on our side' },
  unavailable: { status: 503, title: 'Not available right now; nothing was accepted' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof problems;

export interface FieldError {
  /** RFC 6901 pointer into the body (`/url`), or `?name` for a query parameter, `:name` for a path one, a header's name. */
  pointer: string;
  /** The rule that was broken, such as `too_long` or `unknown_field`. */
  code: string;
  message: string;
  /** Where in the body, in bytes from 0, when it is not valid JSON. */
  offset?: number;
}

/** Thrown by a handler to answer with a problem; anything else thrown becomes `internal_error`. */
export class Problem extends Error {
  readonly status: number;

  constructor(
    readonly code: ProblemCode,
    readonly detail: string = problems[code].title,
    readonly errors: FieldError[] = [],
    readonly retryAfterSeconds?: number,
    /** Members of the body beside the usual ones (RFC 9457, section 3.2). */
    readonly members: Readonly<Record<string, number>> = {},
  ) {
    super(detail);
    this.name = 'Problem';
    this.status = problems[code].status;
  }
}

/** The body to answer with, as `application/problem+json`. */
export function problemBody(problem: Problem, requestId: string, instance: string): Record<string, unknown> {
  return {
    type: `https://posthaste.dev/problems/${problem.code}`,
    title: problems[problem.code].title,
    status: problem.status,
    detail: problem.detail,
    instance,
    code: problem.code,
    ...(problem.errors.length > 0 ? { errors: problem.errors } : {}),
    ...problem.members,
    request_id: requestId,
  };
}

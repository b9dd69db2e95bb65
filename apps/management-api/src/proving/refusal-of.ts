import { ProblemDetails } from '@posthaste/contracts';
import type { RestAnswer } from '@posthaste/test-kit';

/**
 * What a refusal says, in short: `[404, 'not_found', ':account absent']`. Throws when the answer is no problem document
 * (RFC 9457), or when its header, its body and its request id disagree.
 */
export function refusalOf({ status, headers, json }: RestAnswer): [number, string, ...string[]] {
  const type = headers.get('content-type') ?? 'nothing';
  if (!type.startsWith('application/problem+json')) throw new Error(`answered ${status} with ${type}`);
  const problem = ProblemDetails.parse(json);
  if (problem.status !== status) throw new Error(`answered ${status} but says ${problem.status}`);
  if (problem.request_id !== headers.get('x-request-id')) throw new Error('the request ids differ');
  if (status === 401 && headers.get('www-authenticate') !== 'Bearer') throw new Error('names no scheme');
  if (status === 503 && headers.get('retry-after') === null)
    throw new Error('does not say when to try again');
  return [
    status,
    problem.code,
    ...(problem.errors ?? []).map(({ pointer, code, offset }) => `${pointer} ${code} ${offset ?? ''}`.trim()),
  ];
}

import type { Problem } from '@posthaste/runtime';
import type { FastifyRequest } from 'fastify';

/**
 * Another product's webhook API, as its clients speak it: where it lies, where they put their key, and how it says no.
 * Its routes are controllers beside this; what is refused before a route is found, or by the server itself, is said in
 * the product's words too.
 */
export interface Facade {
  /** Every path under it is the product's. */
  prefix: string;
  /** A slash at the end of any of its paths makes no difference. */
  trailingSlash?: true;
  /** The longest body it takes; when absent, ours. */
  bodyLimitBytes?: number;
  /** What a request that has no body says of its type makes no difference. */
  ignoresTypeOfNothing?: true;
  /** What a 401 says of the ways to send a key (RFC 9110 section 11.6.1). */
  challenges?: readonly string[];
  /** The request's key as an `Authorization` header would hold it (`Bearer <key>`); undefined: there is none. */
  authorization(request: FastifyRequest): string | undefined;
  refusal(problem: Problem, asked: Asked): Refusal;
}

/** What a request's first line says, its URL as `routedUrl` leaves it: of some that are refused no more was read. */
export type Asked = Pick<FastifyRequest, 'method' | 'url'>;

export interface Refusal {
  status: number;
  body: unknown;
}

/** The field or parameter a pointer names, `oauth.token_url`; empty for the body itself. */
export function nameOf(pointer: string): string {
  return pointer.replace(/^[/?:]/, '').replaceAll('/', '.');
}

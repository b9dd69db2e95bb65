import { Headers } from '@nestjs/common';
import { Problem } from '@posthaste/runtime';
import type { FastifyReply } from 'fastify';

/** Injects the request's If-Match header; undefined when there is none. */
export const IfMatch = (): ParameterDecorator => Headers('if-match');

/** The ETag of an entity: its version, strong. */
export function etagOf(version: number): string {
  return `"${version}"`;
}

/** Shows an entity under the ETag a later If-Match may name. */
export function withEtag<R extends { version: number }, V>(
  reply: FastifyReply,
  row: R,
  view: (row: R) => V,
): V {
  reply.header('etag', etagOf(row.version));
  return view(row);
}

/**
 * If-Match is optional; when given, one of its tags (or `*`) must be the current version, else 412 and nothing is
 * changed. Weak tags never match (RFC 9110, 13.1.1).
 */
export function requireMatch(ifMatch: string | undefined, version: number): void {
  if (ifMatch === undefined) return;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (tags.includes('*') || tags.includes(etagOf(version))) return;
  throw new Problem('precondition_failed', `The current version is ${etagOf(version)}.`, [
    { pointer: 'if-match', code: 'version_mismatch', message: `does not name ${etagOf(version)}` },
  ]);
}

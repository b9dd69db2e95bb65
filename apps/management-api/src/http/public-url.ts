import type { FastifyRequest } from 'fastify';

/**
 * Where callers reach this API, for answers that name it. A request knows only how it came to us: behind a proxy that
 * ends TLS, or that adds a path, that is not how its caller would come again, and headers that say so anybody may send.
 */
export class PublicUrl {
  /** @param configured without a slash at its end; undefined: what a request names. */
  constructor(private readonly configured: string | undefined) {}

  for({ protocol, host }: FastifyRequest): string {
    return this.configured ?? `${protocol}://${host}`;
  }
}

import { timingSafeEqual } from 'node:crypto';
import type { Permission } from '@posthaste/contracts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { DataSource } from 'typeorm';
import { facadeOf } from '../facades/facade-of.js';
import { forbidden, notPermitted, unauthenticated } from '../http/refusals.js';
import { isSameDigest, keyDigest, parseKey } from './api-key.js';
import { allows, type Permissions, type Principal } from './principal.js';

/** Whose keys may call a route. */
export type AccessRule = readonly Principal['kind'][];

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: AccessRule;
    /** What a tenant's or an account's key must be permitted for it. */
    needs?: Permission | undefined;
  }
}

interface KeyRow {
  tenant: string;
  account: string | null;
  permissions: Permissions;
  digest: Buffer;
  live: boolean;
}

/**
 * Authenticates configuration requests. The key's row is read at every request, so a revoked key stops at once on all
 * replicas; the publish path, which cannot afford that, has its own check.
 */
export class Authenticator {
  private readonly operatorDigest: Buffer;

  constructor(
    private readonly database: DataSource,
    private readonly pepper: string,
    operatorKey: string,
  ) {
    this.operatorDigest = keyDigest(pepper, operatorKey);
  }

  /** The principal of an `Authorization` header; null for a missing, garbled, unknown, revoked or expired key. */
  async authenticate(authorization: string | undefined): Promise<Principal | null> {
    const text = bearerOf(authorization);
    if (text === null) return null;
    const digest = keyDigest(this.pepper, text);
    if (timingSafeEqual(digest, this.operatorDigest)) return { kind: 'operator' };
    const parsed = parseKey(text);
    if (!parsed) return null;
    const [row] = await this.database.query<KeyRow[]>(
      `select k.tenant, k.account, k.permissions, k.digest,
              k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
                and t.deleted_at is null and (k.account is null or a.deleted_at is null) as live
         from config.api_key k
         join config.tenant t on t.id = k.tenant
         left join config.account a on a.id = k.account
        where k.id = $1`,
      [parsed.id],
    );
    if (!isSameDigest(row?.digest, digest) || !row?.live) return null;
    const { tenant, account, permissions } = row;
    const held = { tenant, permissions, key: parsed.id };
    return account === null ? { kind: 'tenant', ...held } : { kind: 'account', account, ...held };
  }
}

/** The token of `Authorization: Bearer <token>`; null when there is none or it could not be a key. */
export function bearerOf(authorization: string | undefined): string | null {
  const match = /^Bearer +([\x21-\x7e]{1,200})$/i.exec(authorization ?? '');
  return match?.[1] ?? null;
}

/** Guards every route that has an access rule, before its body is read: a stranger's megabyte is never parsed. */
export function guardRoutes(fastify: FastifyInstance, authenticator: Authenticator): void {
  fastify.decorateRequest('principal', null);
  fastify.addHook('onRequest', async (request: FastifyRequest) => {
    const { access, needs } = request.routeOptions.config;
    if (!access || request.is404) return;
    const facade = facadeOf(request);
    const authorization = facade ? facade.authorization(request) : request.headers.authorization;
    const principal = await authenticator.authenticate(authorization);
    if (!principal) throw unauthenticated(authorization);
    if (!access.includes(principal.kind)) throw forbidden(access);
    if (principal.kind !== 'operator' && !allows(principal.permissions, needs)) throw notPermitted(needs);
    request.principal = principal;
  });
}

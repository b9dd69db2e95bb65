import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Permission } from '@posthaste/contracts';
import type { FastifyRequest } from 'fastify';

/** Whom a request's credential speaks for. Nothing else in a request ever names the tenant. */
export type Principal =
  { kind: 'operator' } | ({ kind: 'tenant' } & HeldKey) | ({ kind: 'account'; account: string } & HeldKey);

interface HeldKey {
  tenant: string;
  /** The key's id. */
  key: string;
  permissions: Permissions;
}

/** What a key may do; null = everything its scope can reach. */
export type Permissions = readonly Permission[] | null;

/** Fails closed: where nobody has said what is needed, only a key that may do everything gets in. */
export function allows(permissions: Permissions, needed: Permission | undefined): boolean {
  return permissions === null || (needed !== undefined && permissions.includes(needed));
}

/** Whom a request is attributed to in the audit log. */
export interface Author {
  /** The key's id, or `operator`. */
  actor: string;
  from: string;
  requestId: string;
}

/** What a tenant's or an account's key can see; `account` null = all of the tenant's. */
export interface Reach {
  tenant: string;
  account: string | null;
}

/** Within one account: whose the key is. */
export interface AccountReach extends Reach {
  account: string;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before the body is read, on every route that has an access rule. */
    principal: Principal | null;
  }
}

function authorOf(request: FastifyRequest): Author {
  const { principal } = request;
  if (!principal) throw new Error(`${request.routeOptions.url} has no access rule`);
  return {
    actor: principal.kind === 'operator' ? 'operator' : principal.key,
    from: request.ip,
    requestId: request.id,
  };
}

function reachOf(request: FastifyRequest): Reach {
  const { principal } = request;
  if (!principal || principal.kind === 'operator') {
    throw new Error(`${request.routeOptions.url} is not for tenants`);
  }
  return {
    tenant: principal.tenant,
    account: principal.kind === 'account' ? principal.account : null,
  };
}

/** Injects the Author of the request. */
export const By = createParamDecorator((_: unknown, context: ExecutionContext) =>
  authorOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** Injects the Reach of the request's key. */
export const Within = createParamDecorator((_: unknown, context: ExecutionContext) =>
  reachOf(context.switchToHttp().getRequest<FastifyRequest>()),
);

/** Injects the Reach of an account's key, on routes that let only such keys in. */
export const WithinAccount = createParamDecorator((_: unknown, context: ExecutionContext): AccountReach => {
  const { tenant, account } = reachOf(context.switchToHttp().getRequest<FastifyRequest>());
  if (account === null) throw new Error('a route for account keys let another one in');
  return { tenant, account };
});

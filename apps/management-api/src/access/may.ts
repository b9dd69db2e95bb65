import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Permission } from '@posthaste/contracts';
import type { FastifyRequest } from 'fastify';
import { notPermitted } from '../http/refusals.js';
import { allows } from './principal.js';

/** Throws `forbidden` unless the request's key has the permission. */
export type Permitted = (permission: Permission) => void;

/** For a route of which a part needs more than the route does. */
export const May = createParamDecorator((_: unknown, context: ExecutionContext): Permitted => {
  const { principal } = context.switchToHttp().getRequest<FastifyRequest>();
  return (permission) => {
    if (principal?.kind === 'operator') return;
    if (!principal || !allows(principal.permissions, permission)) throw notPermitted(permission);
  };
});

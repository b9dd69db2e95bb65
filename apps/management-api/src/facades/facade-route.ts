import { applyDecorators, HttpCode } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { Permission } from '@posthaste/contracts';
import type { AccessRule } from '../access/authenticate.js';

/** Declares who may call a facade's route and how it answers. It is documented by its product, not by our OpenAPI. */
export function FacadeRoute(access: AccessRule, status: number, needs: Permission): MethodDecorator {
  return applyDecorators(RouteConfig({ access, needs }), HttpCode(status));
}

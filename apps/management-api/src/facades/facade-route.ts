import { applyDecorators, HttpCode } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { AccessRule } from '../access/authenticate.js';

/** Declares who may call a facade's route and how it answers. It is documented by its product, not by our OpenAPI. */
export function FacadeRoute(access: AccessRule, status = 200): MethodDecorator {
  return applyDecorators(RouteConfig({ access }), HttpCode(status));
}

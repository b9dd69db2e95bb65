import { applyDecorators, HttpCode, SetMetadata } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { Permission } from '@posthaste/contracts';
import type { z } from 'zod';
import type { AccessRule } from '../access/authenticate.js';

/** What a route promises, beside what Nest's own decorators say: who may call it and what it answers. */
export type OperationDoc = Promised & WhoMay;

/** What keys of tenants and accounts may do is divided; the operator may do everything. */
export type WhoMay =
  { access: readonly 'operator'[]; needs?: undefined } | { access: AccessRule; needs: Permission };

interface Promised {
  /** The OpenAPI operationId. */
  id: string;
  tag: string;
  summary: string;
  description?: string;
  status: number;
  /** The body it answers with; none for 204. */
  answers?: z.ZodType;
  /** The media type of what it answers, if that is not JSON. */
  mediaType?: string;
  /** The answer carries an ETag. */
  etag?: boolean;
  /** Problems beyond those any route of its kind can have. */
  problems?: readonly number[];
  /** The body may be left out. */
  optionalBody?: boolean;
}

export const OPERATION = Symbol('operation');

/** Declares a route's access rule, status and documentation in one place; the OpenAPI document is made from it. */
export function Operation(doc: OperationDoc): MethodDecorator {
  return applyDecorators(
    SetMetadata(OPERATION, doc),
    RouteConfig({ access: doc.access, needs: doc.needs }),
    HttpCode(doc.status),
  );
}

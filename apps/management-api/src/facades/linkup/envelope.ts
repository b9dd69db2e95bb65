import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import type { Asked } from '../facade.js';

/** What LinkUp calls each of its calls, by method and by what follows the webhook's id. */
const actions = new Map([
  ['POST', 'create_webhook'],
  ['GET', 'list_webhooks'],
  ['GET /:id', 'get_webhook'],
  ['PUT /:id', 'update_webhook'],
  ['PATCH /:id', 'update_webhook'],
  ['DELETE /:id', 'delete_webhook'],
  ['POST /:id/start', 'start_webhook'],
  ['POST /:id/stop', 'stop_webhook'],
  ['GET /:id/events', 'poll_webhook_events'],
  ['GET /:id/stream', 'stream_webhook'],
  ['POST /:id/rotate-secret', 'rotate_webhook_secret'],
  ['DELETE /:id/secret', 'delete_webhook_secret'],
]);

export const UNKNOWN_ACTION = 'unknown';

/** Also of a request that no route was found for. */
export function actionOf({ url, method }: Asked): string {
  const [, path = ''] = /^\/v2\/webhooks([^?]*)/.exec(url) ?? [];
  const asked = `${method === 'HEAD' ? 'GET' : method} ${path.replace(/^\/[^/]+/, '/:id')}`;
  return actions.get(asked.trim()) ?? UNKNOWN_ACTION;
}

export interface Metadata {
  action: string;
  credits_consumed: number;
  timestamp: string;
}

/** No call costs credits; monitoring does. */
export function metadataOf(asked: Asked): Metadata {
  return { action: actionOf(asked), credits_consumed: 0, timestamp: new Date().toISOString() };
}

/** Puts what a handler answers into LinkUp's envelope. */
export class Envelope implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    return next
      .handle()
      .pipe(map((data: unknown) => ({ success: true, data, metadata: metadataOf(request) })));
  }
}

/** The same around what is JSON already: an event's bytes are shown as they were published. */
export function envelopeAround(data: string, request: FastifyRequest): string {
  return `{"success":true,"data":${data},"metadata":${JSON.stringify(metadataOf(request))}}`;
}

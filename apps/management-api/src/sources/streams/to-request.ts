import { createHash, randomUUID } from 'node:crypto';
import { EVENT_TYPE_PATTERN, publishLimits, VISIBLE_ASCII_PATTERN } from '@posthaste/contracts';
import type { PublishRequest } from '../../publish/publish-request.js';
import type { UpstreamEvent } from './upstream-events.js';

const READABLE_ID_CHARS = 200;

/**
 * What is published for an event of a stream; null when its type is none that can be published. The event id makes one
 * message of one event however often it is read; an event without an id gets one for our own repeats of the publish.
 */
export function toRequest({ id, type, data }: UpstreamEvent, stream: string): PublishRequest | null {
  if (type.length > publishLimits.eventTypeChars || !EVENT_TYPE_PATTERN.test(type)) return null;
  return {
    eventType: type,
    payload: Buffer.from(isJson(data) ? data : JSON.stringify(data)),
    contentType: 'application/json',
    channels: [],
    tags: [],
    eventId: `source:${stream}:${id === undefined ? `-${randomUUID()}` : named(id)}`,
    orderingKey: undefined,
  };
}

/** An event id is visible ASCII of limited length; a stream's ids are what they are. */
function named(id: string): string {
  return id.length <= READABLE_ID_CHARS && VISIBLE_ASCII_PATTERN.test(id)
    ? id
    : `sha256:${createHash('sha256').update(id).digest('base64url')}`;
}

function isJson(data: string): boolean {
  try {
    JSON.parse(data);
    return true;
  } catch {
    return false;
  }
}

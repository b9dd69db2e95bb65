import { positionHeader, USER_AGENT } from '../headers.js';
import { embeddable, isObject } from '../json-bytes.js';
import type { Profile, WireMessage } from '../profile.js';
import { signatures } from '../signature.js';

/**
 * Ada's webhooks, which Svix sends for it: the body is `{type, timestamp, data, tags?}`, and the one signature goes
 * by Svix's names and by those of Standard Webhooks, so that a receiver with either library verifies.
 */
export const ada: Profile = (message, endpoint, _attempt, now) => {
  const body = adaEvent(message);
  const seconds = Math.floor(now / 1000);
  const timestamp = String(seconds);
  const signature = signatures(endpoint.secrets, message.id, seconds, body, now);
  return {
    headers: {
      ...endpoint.headers,
      'content-type': body === message.payload ? message.contentType : 'application/json',
      'user-agent': USER_AGENT,
      'svix-id': message.id,
      'svix-timestamp': timestamp,
      'svix-signature': signature,
      'webhook-id': message.id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signature,
      ...positionHeader(message.position),
    },
    body,
  };
};

/**
 * The payload itself when it is this event as a whole already, else an event around it. Only what says the type it was
 * published as, and its time, is taken for one: what belongs under `data` may have members of these names, too.
 */
function adaEvent({ payload, type, at, tags }: WireMessage): Buffer {
  const { bytes, value } = embeddable(payload);
  if (isWhole(value, type)) return payload;
  const timestamp = new Date(at).toISOString().replace('Z', '+00:00');
  const head = `{"type":${JSON.stringify(type)},"timestamp":"${timestamp}","data":`;
  const tail = tags === undefined || tags.length === 0 ? '}' : `,"tags":${JSON.stringify(tags)}}`;
  return Buffer.concat([Buffer.from(head), bytes, Buffer.from(tail)]);
}

function isWhole(value: unknown, type: string): boolean {
  if (!isObject(value) || value['type'] !== type) return false;
  return isObject(value['data']) && typeof value['timestamp'] === 'string';
}

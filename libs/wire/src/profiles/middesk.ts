import { createHash } from 'node:crypto';
import { USER_AGENT } from '../headers.js';
import { embeddable, isComposite, isObject, type Member, membersOf } from '../json-bytes.js';
import type { Profile, WireMessage } from '../profile.js';
import { textSignature } from '../signature.js';

/**
 * Middesk's webhooks: the body is `{object: "event", id, type, data: {object}, created_at}`, signed over the body alone
 * when the endpoint has a secret. The signature goes by its name and by its older one.
 *
 * `include` leaves out the objects and arrays of `data.object` that it does not name, wherever the event came from;
 * what stays is bytes of the payload. Of what is no object nothing is left out.
 */
export const middesk: Profile = (message, endpoint, _attempt, now) => {
  const { body, subject } = middeskEvent(message, endpoint.include);
  const signature = textSignature(endpoint.secrets, '', body, now);
  const correlation = correlationOf(subject);
  return {
    headers: {
      ...endpoint.headers,
      'content-type': body === message.payload ? message.contentType : 'application/json',
      'user-agent': USER_AGENT,
      'webhook-id': message.id,
      ...(correlation !== null && { 'x-correlation-id': correlation }),
      ...(signature !== null && {
        'x-middesk-signature-256': signature,
        'x-middesk-signature': signature,
      }),
    },
    body,
  };
};

interface MiddeskEvent {
  body: Buffer;
  /** What stands as `data.object`, with all its members. */
  subject: unknown;
}

function middeskEvent(
  { payload, id, type, at }: WireMessage,
  include: readonly string[] | null,
): MiddeskEvent {
  const { bytes, value } = embeddable(payload);
  if (isObject(value) && value['object'] === 'event' && isObject(value['data'])) {
    const subject = value['data']['object'];
    if (isObject(subject)) return { body: include === null ? payload : narrowed(payload, include), subject };
  }
  const shown = include === null || !isObject(value) ? bytes : projected(bytes, include);
  const head = `{"object":"event","id":"${eventUuid(id)}","type":${JSON.stringify(type)},"data":{"object":`;
  const tail = `},"created_at":"${new Date(at).toISOString()}"}`;
  return { body: Buffer.concat([Buffer.from(head), shown, Buffer.from(tail)]), subject: value };
}

/** A whole event with less in its `data.object`. */
function narrowed(event: Buffer, include: readonly string[]): Buffer {
  const data = lastNamed(membersOf(event), 'data');
  const object = lastNamed(membersOf(event, data.valueStart), 'object');
  return Buffer.concat([
    event.subarray(0, object.valueStart),
    projected(event.subarray(object.valueStart, object.end), include),
    event.subarray(object.end),
  ]);
}

function projected(object: Buffer, include: readonly string[]): Buffer {
  const members = membersOf(object);
  const kept = members.filter((member) => !isComposite(object, member) || include.includes(member.name));
  if (kept.length === members.length) return object;
  const parts = kept.map(({ start, end }) => object.subarray(start, end));
  const withCommas = parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from(','), part]));
  return Buffer.concat([Buffer.from('{'), ...withCommas, Buffer.from('}')]);
}

/** Of members with the same name the last one counts, as it does for parsers. */
function lastNamed(members: Member[], name: string): Member {
  const found = members.findLast((member) => member.name === name);
  if (!found) throw new Error(`no member ${name}`);
  return found;
}

/** What a header can hold; an id that is anything else cannot be told, and another one would mislead. */
const SENDABLE = /^[\x21-\x7e]{1,256}$/;

function correlationOf(subject: unknown): string | null {
  if (!isObject(subject)) return null;
  const { external_id: given, id: own } = subject;
  const chosen = given === undefined || given === null || given === '' ? own : given;
  const text = Number.isSafeInteger(chosen) ? String(chosen) : chosen;
  return typeof text === 'string' && SENDABLE.test(text) ? text : null;
}

/** Of our own making, for names that are message ids. */
const NAMESPACE = Buffer.from('8df97562150f4ba1af7ce25206ed0138', 'hex');

/** The event's id: a UUID of version 5 (RFC 9562), so that each attempt of a message has the same. */
function eventUuid(messageId: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(messageId).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

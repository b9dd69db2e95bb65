import type { IncomingHttpHeaders } from 'node:http';
import {
  EVENT_TYPE_PATTERN,
  VISIBLE_ASCII_PATTERN,
  LABEL_PATTERN,
  publishLimits,
} from '@posthaste/contracts';
import { type FieldError, Problem } from '@posthaste/runtime';
import { fieldProblem, unsupportedMediaType } from '../http/refusals.js';

/** One message as a caller asks for it, checked for everything that needs no look-up. */
export interface PublishRequest {
  eventType: string;
  /** Exactly as received. */
  payload: Buffer;
  contentType: string;
  channels: string[];
  tags: string[];
  eventId: string | undefined;
  orderingKey: string | undefined;
}

export type Reading<T> = { ok: true; value: T } | { ok: false; problem: Problem };

/** The header whose presence says that the body is the payload itself. */
export const RAW_FORM_HEADER = 'webhook-event-type';

/** The raw form's headers, by the envelope's fields. */
export const rawFormHeaders = {
  eventType: RAW_FORM_HEADER,
  channels: 'webhook-channels',
  tags: 'webhook-tags',
  eventId: 'webhook-event-id',
  orderingKey: 'webhook-ordering-key',
};
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(\s*;[\x20-\x7e]*)?$/;
const MEDIA_TYPE_CHARS = 255;

/**
 * The raw form: the body is the payload, of any content type, and headers say the rest. Chosen by the presence of
 * `webhook-event-type` alone, since `application/json` is a content type of both forms.
 */
export function readRawForm(headers: IncomingHttpHeaders, body: Buffer): Reading<PublishRequest> {
  const errors: FieldError[] = [];
  const contentType = headers['content-type'] ?? 'application/octet-stream';
  if (contentType.length > MEDIA_TYPE_CHARS || !MEDIA_TYPE.test(contentType)) {
    return { ok: false, problem: unsupportedMediaType('The content type is not a media type.') };
  }
  const value: PublishRequest = {
    eventType: checkEventType(headers[rawFormHeaders.eventType], rawFormHeaders.eventType, errors),
    payload: body,
    contentType,
    channels: checkLabels(headerList(headers[rawFormHeaders.channels]), rawFormHeaders.channels, errors),
    tags: checkLabels(headerList(headers[rawFormHeaders.tags]), rawFormHeaders.tags, errors),
    eventId: checkVisibleAscii(
      headers[rawFormHeaders.eventId],
      rawFormHeaders.eventId,
      publishLimits.eventIdChars,
      errors,
    ),
    orderingKey: checkVisibleAscii(
      headers[rawFormHeaders.orderingKey],
      rawFormHeaders.orderingKey,
      publishLimits.orderingKeyChars,
      errors,
    ),
  };
  // Far more likely a forgotten body than a wish to send nothing.
  if (body.length === 0)
    errors.push({ pointer: '', code: 'required', message: 'is the payload and must not be empty' });
  if (body.length > publishLimits.payloadBytes)
    return { ok: false, problem: payloadTooLarge('', body.length) };
  return errors.length === 0 ? { ok: true, value } : { ok: false, problem: fieldProblem(errors) };
}

/** What of a raw request is not in its body; nothing for an envelope. */
export function rawFormFields(headers: IncomingHttpHeaders): unknown[] {
  if (headers[RAW_FORM_HEADER] === undefined) return [];
  return [headers['content-type'], ...Object.values(rawFormHeaders).map((name) => headers[name] ?? null)];
}

export function payloadTooLarge(pointer: string, bytes: number): Problem {
  const message = `has ${bytes} bytes; at most ${publishLimits.payloadBytes} are taken`;
  return new Problem('payload_too_large', `The payload ${message}.`, [
    { pointer, code: 'too_large', message },
  ]);
}

// The checks answer a usable value in any case; what is wrong is in `errors`.

export function checkEventType(value: unknown, pointer: string, errors: FieldError[]): string {
  if (typeof value !== 'string') {
    errors.push(value === undefined ? required(pointer) : wrongType(pointer, 'a string'));
    return '';
  }
  if (value.length > publishLimits.eventTypeChars) {
    errors.push(tooLong(pointer, publishLimits.eventTypeChars));
  } else if (!EVENT_TYPE_PATTERN.test(value)) {
    const message = 'must be words of letters, digits and underscores, joined by dots';
    errors.push({ pointer, code: 'invalid_format', message });
  }
  return value;
}

export function checkLabels(value: unknown, pointer: string, errors: FieldError[]): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    errors.push(wrongType(pointer, 'an array of strings'));
    return [];
  }
  if (value.length > publishLimits.labels) {
    errors.push({ pointer, code: 'too_many', message: `has more than ${publishLimits.labels} entries` });
    return [];
  }
  value.forEach((label: unknown, index) => {
    const at = pointer.startsWith('/') ? `${pointer}/${index}` : pointer;
    if (typeof label !== 'string') errors.push(wrongType(at, 'a string'));
    else if (label.length > publishLimits.labelChars) errors.push(tooLong(at, publishLimits.labelChars));
    else if (!LABEL_PATTERN.test(label)) {
      const message = 'must be text of at least one character, without commas and control characters';
      errors.push({ pointer: at, code: 'invalid_format', message });
    }
  });
  return value as string[];
}

/** An event id or an ordering key. */
export function checkVisibleAscii(
  value: unknown,
  pointer: string,
  maxChars: number,
  errors: FieldError[],
): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string') errors.push(wrongType(pointer, 'a string'));
  else if (value.length > maxChars) errors.push(tooLong(pointer, maxChars));
  else if (!VISIBLE_ASCII_PATTERN.test(value)) {
    errors.push({ pointer, code: 'invalid_format', message: 'must be one or more visible ASCII characters' });
  } else return value;
  return undefined;
}

export function required(pointer: string): FieldError {
  return { pointer, code: 'required', message: 'is required' };
}

export function wrongType(pointer: string, wanted: string): FieldError {
  return { pointer, code: 'wrong_type', message: `must be ${wanted}` };
}

function tooLong(pointer: string, chars: number): FieldError {
  return { pointer, code: 'too_long', message: `has more than ${chars} characters` };
}

/** Header bytes arrive as Latin-1; the names in them are UTF-8 like everything else. */
function headerList(value: string | string[] | undefined): string[] | undefined {
  if (value === undefined) return undefined;
  const text = Buffer.from(String(value), 'latin1').toString();
  return text.split(',').map((part) => part.trim());
}

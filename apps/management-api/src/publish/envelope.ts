import { publishLimits } from '@posthaste/contracts';
import type { FieldError, Problem } from '@posthaste/runtime';
import { jsonProblem, utf8Fault } from '../http/json-problem.js';
import { JsonScanner, type OnElement } from '../http/json-scanner.js';
import { fieldProblem, pointerToken } from '../http/refusals.js';
import {
  checkEventType,
  checkLabels,
  checkVisibleAscii,
  payloadTooLarge,
  type PublishRequest,
  type Reading,
  required,
  wrongType,
} from './publish-request.js';

/**
 * Reads the envelope `{event_type, payload, channels?, tags?, event_id?, ordering_key?}` and the batch `{messages: [...]}`.
 *
 * The payload is not parsed into values and written again: numbers would lose digits, repeated keys would vanish,
 * escapes would change, and a signature over the bytes with them. One walk over the body checks all of it and notes
 * where each member's value lies; only the small members are then parsed. Unknown and repeated members are refused.
 */
export function readEnvelope(body: Buffer): Reading<PublishRequest> {
  const reader = new EnvelopeReader(body);
  return reader.read((at) => reader.message(at, ''));
}

export function readBatch(body: Buffer): Reading<PublishRequest[]> {
  const reader = new EnvelopeReader(body);
  return reader.read((at) => reader.batch(at));
}

const { envelopeDepth, payloadDepth, payloadBytes, batchMessages } = publishLimits;

/** The members an object may have, and how many levels each value may nest. */
type Fields = ReadonlyMap<string, number>;
/** Where the values of an object's members lie. */
type Spans = Map<string, readonly [from: number, to: number]>;

const MESSAGE_FIELDS: Fields = new Map([
  ['event_type', envelopeDepth],
  ['payload', payloadDepth],
  ['channels', envelopeDepth],
  ['tags', envelopeDepth],
  ['event_id', envelopeDepth],
  ['ordering_key', envelopeDepth],
]);
const BATCH_FIELDS: Fields = new Map([['messages', envelopeDepth]]);

class EnvelopeReader {
  private readonly scanner: JsonScanner;
  private readonly errors: FieldError[] = [];
  private oversized: Problem | undefined;
  /** The offset after the object read last, or -1: from there on the body is not JSON. */
  private end = 0;

  constructor(private readonly body: Buffer) {
    this.scanner = new JsonScanner(body);
  }

  /** Reads the whole body as what `document` reads at its beginning. */
  read<T>(document: (at: number) => T | undefined): Reading<T> {
    const { body, scanner, errors } = this;
    const unreadable = utf8Fault(body);
    if (unreadable !== undefined) return refused(jsonProblem(unreadable, body));
    const value = document(scanner.space(0));
    if (this.end >= 0) scanner.end(this.end);
    if (scanner.fault !== undefined) return refused(jsonProblem(scanner.fault, body));
    if (this.oversized !== undefined) return refused(this.oversized);
    if (value === undefined || errors.length > 0) return refused(fieldProblem(errors));
    return { ok: true, value };
  }

  message(at: number, pointer: string): PublishRequest | undefined {
    const spans = this.members(at, pointer, MESSAGE_FIELDS);
    if (spans === undefined) return undefined;
    const { errors } = this;
    return {
      eventType: checkEventType(this.parse(spans.get('event_type')), `${pointer}/event_type`, errors),
      payload: this.payload(spans.get('payload'), `${pointer}/payload`),
      contentType: 'application/json',
      channels: checkLabels(this.parse(spans.get('channels')), `${pointer}/channels`, errors),
      tags: checkLabels(this.parse(spans.get('tags')), `${pointer}/tags`, errors),
      eventId: checkVisibleAscii(
        this.parse(spans.get('event_id')),
        `${pointer}/event_id`,
        publishLimits.eventIdChars,
        errors,
      ),
      orderingKey: checkVisibleAscii(
        this.parse(spans.get('ordering_key')),
        `${pointer}/ordering_key`,
        publishLimits.orderingKeyChars,
        errors,
      ),
    };
  }

  batch(at: number): PublishRequest[] | undefined {
    const { errors, scanner } = this;
    const requests: PublishRequest[] = [];
    let count = 0;
    const spans = this.members(at, '', BATCH_FIELDS, (elementAt) => {
      const index = count++;
      if (index >= batchMessages) return scanner.value(elementAt, envelopeDepth);
      const request = this.message(elementAt, `/messages/${index}`);
      if (request !== undefined) requests.push(request);
      return this.end;
    });
    if (spans === undefined) return undefined;
    const span = spans.get('messages');
    if (span === undefined) errors.push(required('/messages'));
    else if (scanner.byteAt(span[0]) !== OPEN_BRACKET) errors.push(wrongType('/messages', 'an array'));
    else if (count === 0 || count > batchMessages) {
      const code = count === 0 ? 'too_few' : 'too_many';
      errors.push({ pointer: '/messages', code, message: `must hold 1 to ${batchMessages} messages` });
    }
    this.refuseSharedEventIds(requests);
    return requests;
  }

  private refuseSharedEventIds(requests: readonly PublishRequest[]): void {
    const seen = new Set<string>();
    requests.forEach(({ eventId }, index) => {
      if (eventId === undefined) return;
      const pointer = `/messages/${index}/event_id`;
      if (seen.has(eventId))
        this.errors.push({ pointer, code: 'not_unique', message: 'is given twice in one batch' });
      seen.add(eventId);
    });
  }

  /** Reads an object; `onElement` reads the elements of members that are arrays. Undefined: this is no object, or no JSON. */
  private members(at: number, pointer: string, fields: Fields, onElement?: OnElement): Spans | undefined {
    const { scanner, errors } = this;
    if (scanner.byteAt(at) !== OPEN_BRACE) {
      this.end = scanner.value(at, envelopeDepth);
      errors.push(wrongType(pointer, 'an object'));
      return undefined;
    }
    const spans: Spans = new Map();
    const end = scanner.object(at, envelopeDepth, (valueAt, keyAt, keyEnd) => {
      const name = this.nameAt(keyAt, keyEnd);
      const depth = fields.get(name);
      const repeated = spans.has(name);
      if (depth === undefined)
        errors.push(refusedField(pointer, name, 'unknown_field', 'is not a field of this request'));
      if (repeated)
        errors.push(refusedField(pointer, name, 'duplicate_field', 'appears twice in one object'));
      const listed =
        onElement !== undefined && depth !== undefined && scanner.byteAt(valueAt) === OPEN_BRACKET;
      const valueEnd =
        listed && !repeated
          ? scanner.array(valueAt, envelopeDepth, onElement)
          : scanner.value(valueAt, depth ?? envelopeDepth);
      if (depth !== undefined) spans.set(name, [valueAt, valueEnd]);
      return valueEnd;
    });
    this.end = end;
    return end < 0 ? undefined : spans;
  }

  private nameAt(keyAt: number, keyEnd: number): string {
    const raw = this.body.toString('utf8', keyAt, keyEnd);
    return raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
  }

  private parse(span: readonly [number, number] | undefined): unknown {
    return span === undefined ? undefined : JSON.parse(this.body.toString('utf8', span[0], span[1]));
  }

  private payload(span: readonly [number, number] | undefined, pointer: string): Buffer {
    if (span === undefined) {
      this.errors.push(required(pointer));
      return Buffer.alloc(0);
    }
    const payload = this.body.subarray(span[0], span[1]);
    if (payload.length > payloadBytes) this.oversized ??= payloadTooLarge(pointer, payload.length);
    return payload;
  }
}

const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;

function refused(problem: Problem): { ok: false; problem: Problem } {
  return { ok: false, problem };
}

function refusedField(parent: string, name: string, code: string, message: string): FieldError {
  return { pointer: `${parent}/${pointerToken(name)}`, code, message };
}

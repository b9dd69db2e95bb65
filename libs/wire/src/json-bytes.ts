import { isUtf8 } from 'node:buffer';

/**
 * Payloads as parts of a larger JSON document, and parts of payloads, both without writing them anew: numbers keep
 * their digits, strings their escapes, objects their spacing. What a document says is read by `JSON.parse`; this file
 * only finds where it stands.
 */
export interface EmbeddableJson {
  bytes: Buffer;
  value: unknown;
}

/** A JSON payload as it is; of another its text as a JSON string, or its base64 when it is no text either. */
export function embeddable(payload: Buffer): EmbeddableJson {
  const text = payload.toString();
  try {
    return { bytes: payload, value: JSON.parse(text) };
  } catch {
    const value = isUtf8(payload) ? text : payload.toString('base64');
    return { bytes: Buffer.from(JSON.stringify(value)), value };
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member of an object: from its name's first quote to its value's last byte. */
export interface Member {
  name: string;
  start: number;
  valueStart: number;
  end: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** The members of the object that begins at or after `from`. The document must have been parsed: it is not checked. */
export function membersOf(json: Buffer, from = 0): Member[] {
  const members: Member[] = [];
  let at = skipSpace(json, skipSpace(json, from) + 1);
  while (at < json.length && json[at] !== CLOSE_OBJECT) {
    const nameEnd = endOfString(json, at);
    const name = JSON.parse(json.toString('utf8', at, nameEnd)) as string;
    const valueStart = skipSpace(json, skipSpace(json, nameEnd) + 1);
    const end = endOfValue(json, valueStart);
    members.push({ name, start: at, valueStart, end });
    at = skipSpace(json, end);
    if (json[at] === COMMA) at = skipSpace(json, at + 1);
  }
  return members;
}

/** Whether a member's value has members or elements itself. */
export function isComposite(json: Buffer, { valueStart }: Member): boolean {
  return json[valueStart] === OPEN_OBJECT || json[valueStart] === OPEN_ARRAY;
}

function skipSpace(json: Buffer, at: number): number {
  let next = at;
  while (next < json.length && (json[next] as number) <= 0x20) next++;
  return next;
}

function endOfString(json: Buffer, start: number): number {
  let at = start;
  do {
    at = json.indexOf(QUOTE, at + 1);
    if (at === -1) return json.length;
  } while (isEscaped(json, at));
  return at + 1;
}

function isEscaped(json: Buffer, at: number): boolean {
  let first = at;
  while (json[first - 1] === BACKSLASH) first--;
  return (at - first) % 2 === 1;
}

/** Nesting is counted and not followed: a payload may be deeper than our stack. */
function endOfValue(json: Buffer, start: number): number {
  let depth = 0;
  let at = start;
  while (at < json.length) {
    const byte = json[at] as number;
    if (byte === QUOTE) {
      at = endOfString(json, at);
      if (depth === 0) return at;
      continue;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      // Of the object around, when the value was a number or a word.
      if (depth === 0) return at;
      depth--;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (byte === COMMA || byte <= 0x20)) return at;
    at++;
  }
  return at;
}

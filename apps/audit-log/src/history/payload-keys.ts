import type { PayloadMatch } from '@posthaste/contracts';

/**
 * What a message is found by when somebody searches its payload: a number for each value in it, which stands for the
 * account, the way to the value and the value.
 *
 * Promised is one direction only: whatever `history.payload_json(payload) #> path = value` finds has the key of that path
 * and value. Others may have it too; whoever searches asks the payload itself. So numbers are hashed as doubles (`3`,
 * `3.0` and `300e-2` are one number to PostgreSQL as well), steps into arrays as the text of their number, which `#>` does
 * not tell from a member of that name, and of members told twice the last one counts, for both.
 *
 * The index holds buckets of keys, a few thousand for each half-hour of the day. Distinct keys would be a new entry each,
 * which is most of what an index costs; a bucket has many, and the row that it names has the keys themselves. A search
 * goes through the day backwards, some half-hours at a time, and ends as soon as it has a page: it never gathers all of a
 * value that is everywhere. The account is hashed with it, so nobody's search finds what others have.
 *
 * A payload that has too much in it has one key instead, that says "look at me", and is looked at by every search of its
 * account. One that is no JSON has none.
 */
export const SLOT_MS = 30 * 60_000;
export const DAY_MS = 86_400_000;
/** Of a million messages a day with 20 values each, a half-hour has 200 in one bucket. More bits cost more to write. */
const BUCKET_BITS = 11;

/** Each costs the database more than a microsecond. */
const MAX_KEYS = 256;
/** Half a millisecond to read, or one at worst, in which nothing else is done. */
const MAX_BYTES = 16 * 1024;
/** A call for each level: no payload may exhaust the stack. */
const MAX_DEPTH = 100;

export function payloadKeys(account: string, payload: Buffer): number[] {
  if (!mayBeJson(payload)) return [];
  const root = mixText(SEED, account);
  if (payload.length > MAX_BYTES) return [lookAtMe(root)];
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    return [];
  }
  const keys: number[] = [];
  return collect(keys, value, root, 0) ? keys : [lookAtMe(root)];
}

/** In which of the index's buckets the key of a message that was accepted at an instant is. */
export function bucketOf(at: number, key: number): number {
  return (Math.floor((at % DAY_MS) / SLOT_MS) << BUCKET_BITS) | (key >>> (32 - BUCKET_BITS));
}

/**
 * What to look for: the key of the value, and "look at me". Undefined when keys cannot tell: PostgreSQL reads `-1` and
 * ` 01` as places in an array, which nothing was hashed by; an object or array has no key of its own.
 */
export function soughtKeys(
  account: string,
  { path, value_json }: PayloadMatch,
): [number, number] | undefined {
  if (path.some((step) => /^\s*[+-]?\d+$/.test(step) && !/^(?:0|[1-9]\d*)$/.test(step))) return undefined;
  const value = JSON.parse(value_json) as unknown;
  if (typeof value === 'object' && value !== null) return undefined;
  const root = mixText(SEED, account);
  return [hashOf(value, path.reduce(mixText, root)), lookAtMe(root)];
}

/** White space and then what JSON begins with: the rest need not be tried, as failing is what costs most. */
function mayBeJson(payload: Buffer): boolean {
  for (const byte of payload.subarray(0, LOOKED_AT_BYTES)) if (!WHITE_SPACE.has(byte)) return FIRST.has(byte);
  return payload.length > LOOKED_AT_BYTES;
}
const LOOKED_AT_BYTES = 100;
const bytesOf = (text: string): Set<number> => new Set(Buffer.from(text));
const WHITE_SPACE = bytesOf(' \t\n\r');
const FIRST = bytesOf('{["-0123456789tfn');

/** False when it is too much. */
function collect(keys: number[], value: unknown, hash: number, depth: number): boolean {
  if (typeof value !== 'object' || value === null) {
    keys.push(hashOf(value, hash));
    return keys.length <= MAX_KEYS;
  }
  if (depth === MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    return value.every((element, i) => collect(keys, element, mixText(hash, String(i)), depth + 1));
  }
  const members = value as Record<string, unknown>;
  for (const name of Object.keys(members)) {
    if (!collect(keys, members[name], mixText(hash, name), depth + 1)) return false;
  }
  return true;
}

const SEED = 0x811c9dc5;
const PRIME = 0x01000193;
/** Above all of UTF-16. */
const [END, STRING, NUMBER, TRUE, FALSE, NULL, LOOK] = [
  0x10000, 0x10001, 0x10002, 0x10003, 0x10004, 0x10005, 0x10006,
];

/** FNV-1a, by UTF-16 instead of bytes. */
function mix(hash: number, part: number): number {
  return Math.imul(hash ^ part, PRIME);
}

function mixText(hash: number, text: string): number {
  let mixed = hash;
  for (let i = 0; i < text.length; i++) mixed = Math.imul(mixed ^ text.charCodeAt(i), PRIME);
  return mix(mixed, END);
}

const double = new DataView(new ArrayBuffer(8));

function hashOf(value: unknown, path: number): number {
  switch (typeof value) {
    case 'string':
      return spread(mixText(mix(path, STRING), value));
    case 'number':
      // Adding 0 makes -0 the 0 it is to PostgreSQL.
      double.setFloat64(0, value + 0);
      return spread(mix(mix(mix(path, NUMBER), double.getInt32(0)), double.getInt32(4)));
    case 'boolean':
      return spread(mix(path, value ? TRUE : FALSE));
    default:
      return spread(mix(path, NULL));
  }
}

function lookAtMe(root: number): number {
  return spread(mix(root, LOOK));
}

/** FNV leaves more in the lower bits than in the upper ones, which make the bucket (the end is MurmurHash3's). */
function spread(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) | 0;
}

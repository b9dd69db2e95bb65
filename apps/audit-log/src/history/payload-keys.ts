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
 * The upper six bits are the half-hour of the day. So the keys written at one time lie together in their index, and a
 * search goes through the day backwards, a half-hour at a time, and ends as soon as it has a page: it never gathers all
 * of a value that is everywhere. The account is hashed with it, so nobody's search finds what others have.
 *
 * A payload that has too much in it has one key instead, that says "look at me", and is looked at by every search of its
 * account. One that is no JSON has none.
 */
export const SLOT_MS = 30 * 60_000;
export const DAY_MS = 86_400_000;

/** Each costs the database about a microsecond. */
const MAX_KEYS = 256;
/** Reading more than this would hold up the projection for a millisecond. */
const MAX_BYTES = 32 * 1024;
/** A call for each level: no payload may exhaust the stack. */
const MAX_DEPTH = 100;

export function payloadKeys(account: string, acceptedAt: number, payload: Buffer): number[] {
  if (!mayBeJson(payload)) return [];
  const root = mixText(SEED, account);
  const slot = slotOf(acceptedAt);
  if (payload.length > MAX_BYTES) return [keyOf(slot, lookAtMe(root))];
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    return [];
  }
  const keys: number[] = [];
  return collect(keys, slot, value, root, 0) ? keys : [keyOf(slot, lookAtMe(root))];
}

/** What to look for in the half-hour of an instant: the key of the value, and "look at me". */
export type SoughtKeys = (at: number) => [key: number, lookAtMe: number];

/**
 * Undefined when keys cannot tell: PostgreSQL reads `-1` and ` 01` as places in an array, which nothing was hashed by; an
 * object or array has no key of its own.
 */
export function soughtKeys(account: string, { path, value_json }: PayloadMatch): SoughtKeys | undefined {
  if (path.some((step) => /^\s*[+-]?\d+$/.test(step) && !/^(?:0|[1-9]\d*)$/.test(step))) return undefined;
  const value = JSON.parse(value_json) as unknown;
  if (typeof value === 'object' && value !== null) return undefined;
  const root = mixText(SEED, account);
  const sought = hashOf(value, path.reduce(mixText, root));
  return (at) => [keyOf(slotOf(at), sought), keyOf(slotOf(at), lookAtMe(root))];
}

/** White space and then what JSON begins with: the rest need not be tried, as failing is what costs most. */
function mayBeJson(payload: Buffer): boolean {
  let at = 0;
  while (WHITE_SPACE.has(payload[at] ?? 0)) at++;
  return FIRST.has(payload[at] ?? 0);
}
const bytesOf = (text: string): Set<number> => new Set(Buffer.from(text));
const WHITE_SPACE = bytesOf(' \t\n\r');
const FIRST = bytesOf('{["-0123456789tfn');

/** False when it is too much. */
function collect(keys: number[], slot: number, value: unknown, hash: number, depth: number): boolean {
  if (typeof value !== 'object' || value === null) {
    keys.push(keyOf(slot, hashOf(value, hash)));
    return keys.length <= MAX_KEYS;
  }
  if (depth === MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    return value.every((element, i) => collect(keys, slot, element, mixText(hash, String(i)), depth + 1));
  }
  const members = value as Record<string, unknown>;
  for (const name of Object.keys(members)) {
    if (!collect(keys, slot, members[name], mixText(hash, name), depth + 1)) return false;
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
      return mixText(mix(path, STRING), value);
    case 'number':
      // Adding 0 makes -0 the 0 it is to PostgreSQL.
      double.setFloat64(0, value + 0);
      return mix(mix(mix(path, NUMBER), double.getInt32(0)), double.getInt32(4));
    case 'boolean':
      return mix(path, value ? TRUE : FALSE);
    default:
      return mix(path, NULL);
  }
}

const lookAtMe = (root: number): number => mix(root, LOOK);

function slotOf(at: number): number {
  return Math.floor((at % DAY_MS) / SLOT_MS);
}

/** Spreads what FNV leaves in the lower bits over all of them, as only the upper ones are kept (MurmurHash3's end). */
function keyOf(slot: number, hash: number): number {
  let spread = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  spread = Math.imul(spread ^ (spread >>> 13), 0xc2b2ae35);
  return (slot << 26) | ((spread ^ (spread >>> 16)) >>> 6);
}

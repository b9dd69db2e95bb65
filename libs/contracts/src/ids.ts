import { hash, randomFillSync } from 'node:crypto';

/**
 * Ids are a prefix and 27 base62 characters (a KSUID: 4 bytes of seconds, 16 random bytes), so they sort by time,
 * survive a double click and hold no dot, which the signed content of a webhook forbids.
 */
export const idPrefixes = {
  tenant: 'ten',
  account: 'acc',
  endpoint: 'ep',
  eventType: 'evt',
  message: 'msg',
  delivery: 'dlv',
  attempt: 'att',
  replay: 'rpl',
  key: 'key',
  secret: 'sec',
  source: 'src',
  audit: 'aud',
  request: 'req',
} as const;

export type IdKind = keyof typeof idPrefixes;

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const KSUID_CHARS = 27;
/** KSUIDs count seconds from 2014-05-13, which keeps 32 bits good until 2150. */
const KSUID_EPOCH_SECONDS = 1_400_000_000;
/** The leading characters of a KSUID that carry nothing finer than its second. */
const TIME_CHARS = 6;
/** The last characters of an attempt's id, which tell it from the others of its delivery: 916 million. */
const NUMBER_CHARS = 5;

// Random bytes are drawn 256 ids at a time: one system call per id would double the cost of an id.
const KSUID_BYTES = 20;
const pool = Buffer.alloc(KSUID_BYTES * 256);
let poolAt = pool.length;

/** A new id of the kind, for the instant `nowMs` (milliseconds since 1970). */
export function newId(kind: IdKind, nowMs: number = Date.now()): string {
  if (poolAt === pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  // A clock set before the epoch must not spoil the random part.
  pool.writeUInt32BE(Math.max(0, Math.floor(nowMs / 1000) - KSUID_EPOCH_SECONDS), poolAt);
  const digits = toBase62(pool, poolAt);
  poolAt += KSUID_BYTES;
  return `${idPrefixes[kind]}_${digits}`;
}

/** Below every id of the kind made at `ms` or later, and above those of earlier seconds; not an id itself. */
export function lowestId(kind: IdKind, ms: number): string {
  const bytes = Buffer.alloc(KSUID_BYTES);
  bytes.writeUInt32BE(Math.max(0, Math.floor(ms / 1000) - KSUID_EPOCH_SECONDS));
  const digits = toBase62(bytes, 0);
  // Derived ids keep only the time of their parent's first digits: what follows is no bound for them.
  return `${idPrefixes[kind]}_${digits.slice(0, TIME_CHARS)}`;
}

/**
 * The id of the delivery of a message to an endpoint. Derived from both, so every process names it alike without
 * asking anyone; it sorts with its message.
 */
export function deliveryId(messageId: string, endpointId: string): string {
  return derivedId('delivery', messageId, `${messageId}/${endpointId}`);
}

/**
 * The id of an attempt: the same whoever made it, so a repeated try of one number folds into one. It is its delivery's,
 * with the number added to the last digits.
 */
export function attemptId(delivery: string, number: number): string {
  let digits = '';
  let carry = number;
  for (let i = delivery.length - 1; i >= delivery.length - NUMBER_CHARS; i--) {
    const sum = digitOf(delivery.charCodeAt(i)) + carry;
    carry = Math.floor(sum / ALPHABET.length);
    digits = ALPHABET.charAt(sum % ALPHABET.length) + digits;
  }
  return `${idPrefixes.attempt}_${delivery.slice(delivery.indexOf('_') + 1, -NUMBER_CHARS)}${digits}`;
}

/**
 * What every delivery that may have this attempt, or one whose id begins so, sorts between: from the first, before the
 * second. They share all but their last digits, so this is how an attempt is found without an index of its own.
 */
export function deliveriesOf(attempt: string): [from: string, before: string] {
  const at = attempt.indexOf('_') + 1;
  const from = `${idPrefixes.delivery}_${attempt.slice(at, at + KSUID_CHARS - NUMBER_CHARS)}`;
  // Above all of base62.
  return [from, `${from}~`];
}

/** The id of a message we publish ourselves: the same however often its cause is worked off. */
export function causedMessageId(causedAtMs: number, cause: string): string {
  return derivedId('message', lowestId('message', causedAtMs), cause);
}

/** True for a well-formed id of the kind; says nothing about whether it exists. */
export function isId(kind: IdKind, value: string): boolean {
  const prefix = idPrefixes[kind];
  return (
    value.length === prefix.length + 1 + KSUID_CHARS &&
    value.startsWith(`${prefix}_`) &&
    /^[0-9A-Za-z]+$/.test(value.slice(prefix.length + 1))
  );
}

function derivedId(kind: IdKind, parent: string, seed: string): string {
  const at = parent.indexOf('_') + 1;
  const digits = toBase62(hash('sha256', seed, 'buffer'), 0);
  return `${idPrefixes[kind]}_${parent.slice(at, at + TIME_CHARS)}${digits.slice(TIME_CHARS)}`;
}

/** What a character of an id's 27 counts, by its code: the alphabet is in the order of codes, in three runs. */
export function digitOf(code: number): number {
  if (code < 65) return code - 48;
  return code < 97 ? code - 55 : code - 61;
}

/** Two digits at a time: 62 squared times a 16-bit limb stays a small integer, which V8 divides without floats. */
const DIGIT_PAIRS = Array.from(
  { length: 62 * 62 },
  (_, n) => ALPHABET.charAt(Math.floor(n / 62)) + ALPHABET.charAt(n % 62),
);
const limbs = new Uint16Array(KSUID_BYTES / 2);

/** The 20 bytes at `from` as 27 base62 digits, by schoolbook division: under a microsecond, and no BigInt. */
function toBase62(bytes: Buffer, from: number): string {
  for (let i = 0; i < limbs.length; i++) limbs[i] = bytes.readUInt16BE(from + 2 * i);
  let out = '';
  for (let start = 0; out.length < KSUID_CHARS;) {
    let remainder = 0;
    for (let i = start; i < limbs.length; i++) {
      const part = (remainder << 16) | (limbs[i] as number);
      const quotient = (part / 3844) | 0;
      limbs[i] = quotient;
      remainder = part - quotient * 3844;
    }
    out = (DIGIT_PAIRS[remainder] as string) + out;
    if (limbs[start] === 0 && start < limbs.length - 1) start++;
  }
  return out.slice(-KSUID_CHARS);
}

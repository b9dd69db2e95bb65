import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { newId } from '@posthaste/contracts';

/**
 * An API key reads `ph_<scope>_<key id>_<43 base62><6 base62 CRC32>`. The fixed prefix and the checksum let a secret
 * scanner tell a leaked key from noise without asking us; the key id finds the stored row, so that a look-up never
 * depends on the secret part; 32 random bytes make slow hashing needless.
 */
export type KeyScope = 'tenant' | 'account';

export interface ParsedKey {
  scope: KeyScope;
  /** The row's id, `key_...`. */
  id: string;
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SECRET_CHARS = 43;
const CHECKSUM_CHARS = 6;
const KEY = /^ph_(tenant|account)_([0-9A-Za-z]{27})_([0-9A-Za-z]{49})$/;

/** A new key: its id for the row and its text for the one who asked. */
export function newKey(scope: KeyScope): { id: string; text: string } {
  const id = newId('key');
  const unchecked = `ph_${scope}_${id.slice('key_'.length)}_${base62(randomBytes(32), SECRET_CHARS)}`;
  return { id, text: unchecked + checksum(unchecked) };
}

/** What a key's text says about itself; null when it is not one of ours (form or checksum). Proves nothing yet. */
export function parseKey(text: string): ParsedKey | null {
  const match = KEY.exec(text);
  if (!match || checksum(text.slice(0, -CHECKSUM_CHARS)) !== text.slice(-CHECKSUM_CHARS)) return null;
  return { scope: match[1] as KeyScope, id: `key_${match[2]}` };
}

/** What is stored of a key, and what a presented one is compared by. */
export function keyDigest(pepper: string, text: string): Buffer {
  return createHmac('sha256', pepper).update(text).digest();
}

/** Stands in for the stored digest of an unknown key, so that knowing an id shortens no answer. */
const NO_DIGEST = randomBytes(32);

/** True when the digests are equal. Takes the same time for a wrong key, an unknown id and a right one. */
export function isSameDigest(stored: Uint8Array | undefined, presented: Buffer): boolean {
  return timingSafeEqual(stored ?? NO_DIGEST, presented) && stored !== undefined;
}

function checksum(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return base62(bytes, CHECKSUM_CHARS);
}

function base62(bytes: Buffer, chars: number): string {
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let out = '';
  for (let i = 0; i < chars; i++) {
    out = BASE62.charAt(Number(value % 62n)) + out;
    value /= 62n;
  }
  return out;
}

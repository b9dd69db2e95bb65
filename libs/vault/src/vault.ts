import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { WrappedKey } from '@posthaste/contracts';
import { VaultError } from './errors.js';

/**
 * Envelope encryption of secrets at rest.
 *
 * A key-encryption key (KEK, 32 bytes, from the operator) wraps one data key per tenant; data keys seal secrets with
 * AES-256-GCM, a random 96-bit IV and a 128-bit tag. The place a secret belongs to is authenticated with it
 * (`SealContext`), so a ciphertext moved to another row, column or tenant does not open. Destroying a tenant's data
 * keys destroys all it sealed.
 *
 * Sealed text is `v1.<data key id>.<iv>.<ciphertext and tag>`, base64url. Rotating the KEK wraps the data keys again
 * and rewrites no data. Not promised: hiding the length of a secret, or surviving 2^32 seals under one data key.
 */
export interface SealContext {
  table: string;
  tenant: string;
  row: string;
  column: string;
}

export interface KeyEncryptionKey {
  id: string;
  key: Buffer;
}

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

export class Vault {
  private readonly keks: Map<string, Buffer>;
  private readonly currentKek: string;
  // Unwrapping costs two decipher set-ups; a tenant's data key is the same object for as long as its config holds.
  private readonly unwrapped = new Map<string, Buffer>();

  /** @param keks the current one first; the rest only open. */
  constructor(keks: KeyEncryptionKey[]) {
    const current = keks[0];
    if (!current) throw new VaultError('no_kek', 'at least one key-encryption key is needed');
    for (const { id, key } of keks) {
      if (key.length !== KEY_BYTES)
        throw new VaultError('bad_kek', `key-encryption key ${id} is not 32 bytes`);
    }
    this.currentKek = current.id;
    this.keks = new Map(keks.map(({ id, key }) => [id, key]));
    if (this.keks.size !== keks.length) {
      throw new VaultError('bad_kek', 'two key-encryption keys have the same id');
    }
  }

  /** A fresh data key for a tenant, wrapped under the current KEK. */
  newDataKey(tenant: string): WrappedKey {
    const id = randomBytes(9).toString('base64url');
    return this.wrap(tenant, id, randomBytes(KEY_BYTES));
  }

  /** The same data key under the current KEK; itself if it already is. */
  rewrap(tenant: string, wrapped: WrappedKey): WrappedKey {
    if (wrapped.kek === this.currentKek) return wrapped;
    return this.wrap(tenant, wrapped.id, this.unwrap(tenant, wrapped));
  }

  seal(dataKey: WrappedKey, context: SealContext, secret: string): string {
    const key = this.unwrap(context.tenant, dataKey);
    return `v1.${dataKey.id}.${encrypt(key, aadOf(context, dataKey.id), Buffer.from(secret))}`;
  }

  /** Throws VaultError `unknown_key`, `bad_format`, or `not_authentic` when anything about it was altered. */
  open(dataKeys: WrappedKey[], context: SealContext, sealed: string): string {
    const [version, keyId, ...rest] = sealed.split('.');
    if (version !== 'v1' || keyId === undefined || rest.length !== 2) {
      throw new VaultError('bad_format', 'not a sealed secret');
    }
    const dataKey = dataKeys.find(({ id }) => id === keyId);
    if (!dataKey) throw new VaultError('unknown_key', `no data key ${keyId}`);
    const key = this.unwrap(context.tenant, dataKey);
    return decrypt(key, aadOf(context, keyId), rest.join('.')).toString();
  }

  private wrap(tenant: string, id: string, key: Buffer): WrappedKey {
    const kek = this.keks.get(this.currentKek) as Buffer;
    return { id, kek: this.currentKek, wrapped: encrypt(kek, wrapAad(tenant, id), key) };
  }

  private unwrap(tenant: string, { id, kek, wrapped }: WrappedKey): Buffer {
    // By tenant too: a key kept for one must not open for another, where unwrapping it would fail.
    const kept = `${tenant}|${id}|${wrapped}`;
    const cached = this.unwrapped.get(kept);
    if (cached) return cached;
    const wrapping = this.keks.get(kek);
    if (!wrapping) throw new VaultError('unknown_kek', `no key-encryption key ${kek}`);
    const key = decrypt(wrapping, wrapAad(tenant, id), wrapped);
    this.unwrapped.set(kept, key);
    return key;
  }
}

/** Reads `id:base64[,id:base64]`, the current key first. Its errors say which entry is wrong, never what is in it. */
export function parseKeks(text: string): KeyEncryptionKey[] {
  return text.split(',').map((part, index) => {
    const colon = part.indexOf(':');
    if (colon < 1) throw new VaultError('bad_kek', `key-encryption key ${index + 1} is not id:base64`);
    return { id: part.slice(0, colon), key: Buffer.from(part.slice(colon + 1), 'base64') };
  });
}

function aadOf({ table, tenant, row, column }: SealContext, keyId: string): string {
  return [table, tenant, row, column, keyId].join('|');
}

function wrapAad(tenant: string, id: string): string {
  return ['data-key', tenant, id].join('|');
}

function encrypt(key: Buffer, aad: string, plain: Buffer): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(aad));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return `${iv.toString('base64url')}.${sealed.toString('base64url')}`;
}

function decrypt(key: Buffer, aad: string, text: string): Buffer {
  const [iv, sealed] = text.split('.').map((part) => Buffer.from(part, 'base64url'));
  if (iv?.length !== IV_BYTES || sealed === undefined || sealed.length < TAG_BYTES) {
    throw new VaultError('bad_format', 'not a sealed text');
  }
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(aad));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw new VaultError('not_authentic', 'a sealed secret does not belong here or was altered');
  }
}

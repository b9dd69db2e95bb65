import {
  newId,
  type SealedSecret,
  type SecretKind,
  SigningSecret,
  TextSecret,
  type WireProfile,
  type WrappedKey,
} from '@posthaste/contracts';
import { endpointSecretContext, type Vault } from '@posthaste/vault';
import { newSigningSecret, secretKindsOf, signingKey } from '@posthaste/wire';
import type { EntityManager } from 'typeorm';
import { fieldProblem } from '../http/refusals.js';
import { newestKey } from '../tenants/newest-key.js';
import { TenantRow } from '../tenants/tenant.entity.js';

/**
 * An endpoint's signing secrets, the newest first. Each version that is in use has exactly one secret without an end;
 * the others of that version are on their way out. Every live one signs every request.
 *
 * Rotating replaces the secrets of one version and leaves those of the other alone, so an endpoint gets its first v1a
 * secret, and has both, by a rotation; it leaves a version by ending that version's secrets. What it is never left
 * without is a secret that has no end.
 *
 * The profiles linkup and middesk have room for one signature, of a text: their endpoints have one secret, which a
 * rotation replaces at once, or none, and then their requests are not signed.
 */
const MOST_LIVE = 10;

export interface SecretPlace {
  tenant: string;
  endpoint: string;
}

export async function dataKeysOf(manager: EntityManager, tenant: string): Promise<WrappedKey[]> {
  return (await manager.findOneByOrFail(TenantRow, { id: tenant })).dataKeys;
}

/** Whether an endpoint of the profile always has a secret. */
export function isAlwaysSigned(profile: WireProfile): boolean {
  return !secretKindsOf(profile).includes('text');
}

/** A new random secret of a kind, sealed. */
export function newSecret(
  vault: Vault,
  dataKeys: WrappedKey[],
  place: SecretPlace,
  atMs: number,
  version: SecretKind,
): SealedSecret {
  return seal(vault, dataKeys, place, atMs, version, newSigningSecret(version));
}

/** A secret of the caller's own, sealed; or a Problem that points at it when the profile does not sign with such. */
export function ownSecret(
  vault: Vault,
  dataKeys: WrappedKey[],
  place: SecretPlace,
  atMs: number,
  given: { profile: WireProfile; text: string; pointer: string; version?: SecretKind | undefined },
): SealedSecret {
  const { profile, text, pointer, version } = given;
  const refuse = (message: string) => fieldProblem([{ pointer, code: 'bad_secret', message }]);
  const isText = !isAlwaysSigned(profile);
  // Facades come here with what no schema of ours has seen.
  const { error } = (isText ? TextSecret : SigningSecret).safeParse(text);
  if (error) throw refuse(error.issues[0]?.message ?? error.message);
  const key = signingKey(text, isText ? 'text' : undefined);
  if (key === null) throw refuse('must hold an Ed25519 seed and the public key that belongs to it');
  if (version !== undefined && version !== key.version) {
    const message = `is a secret for ${key.version}, not for ${version}`;
    throw fieldProblem([{ pointer, code: 'other_version', message }]);
  }
  return seal(vault, dataKeys, place, atMs, key.version, text);
}

function seal(
  vault: Vault,
  dataKeys: WrappedKey[],
  { tenant, endpoint }: SecretPlace,
  atMs: number,
  version: SecretKind,
  secret: string,
): SealedSecret {
  const id = newId('secret', atMs);
  const context = endpointSecretContext(tenant, endpoint, id);
  const sealed = vault.seal(newestKey(dataKeys, tenant), context, secret);
  return { id, version, sealed, createdAt: atMs, expiresAt: null };
}

/** What an endpoint has at its creation. */
export function firstSecrets(
  vault: Vault,
  dataKeys: WrappedKey[],
  place: SecretPlace,
  atMs: number,
  { profile, secret }: { profile: WireProfile; secret: string | undefined },
): SealedSecret[] {
  if (secret !== undefined) {
    return [ownSecret(vault, dataKeys, place, atMs, { profile, text: secret, pointer: '/secret' })];
  }
  return isAlwaysSigned(profile) ? [newSecret(vault, dataKeys, place, atMs, 'v1')] : [];
}

export function liveSecrets(secrets: SealedSecret[], nowMs: number): SealedSecret[] {
  return secrets.filter(({ expiresAt }) => expiresAt === null || expiresAt > nowMs);
}

/**
 * The secrets after a rotation: the new one first, the others of its version for `overlapSeconds` more, but never longer
 * than they had. Those that would end first make room: with more signatures than this, receivers refuse the headers.
 */
export function rotate(
  secrets: SealedSecret[],
  fresh: SealedSecret,
  overlapSeconds: number,
  nowMs: number,
): SealedSecret[] {
  const until = nowMs + (fresh.version === 'text' ? 0 : overlapSeconds * 1_000);
  const leaving = secrets.map((secret) =>
    secret.version === fresh.version
      ? { ...secret, expiresAt: Math.min(secret.expiresAt ?? until, until) }
      : secret,
  );
  const kept = [fresh, ...liveSecrets(leaving, nowMs)];
  const surplus = kept
    .toSorted((a, b) => (a.expiresAt ?? Infinity) - (b.expiresAt ?? Infinity))
    .slice(0, Math.max(0, kept.length - MOST_LIVE));
  return kept.filter((secret) => !surplus.includes(secret));
}

/** The secrets without the one of this id; or why it is not ended. `mayBeNone`: the profile does without, too. */
export function without(
  secrets: SealedSecret[],
  id: string,
  nowMs: number,
  mayBeNone: boolean,
): SealedSecret[] | 'absent' | 'last' {
  const live = liveSecrets(secrets, nowMs);
  const rest = live.filter((secret) => secret.id !== id);
  if (rest.length === live.length) return 'absent';
  return mayBeNone || rest.some(({ expiresAt }) => expiresAt === null) ? rest : 'last';
}

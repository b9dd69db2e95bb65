import { newId, type SealedSecret, type SignatureVersion, type WrappedKey } from '@posthaste/contracts';
import { endpointSecretContext, type Vault } from '@posthaste/vault';
import { newSigningSecret, signingKey } from '@posthaste/wire';
import type { EntityManager } from 'typeorm';
import { fieldProblem } from '../http/refusals.js';
import { TenantRow } from '../tenants/tenant.entity.js';

/**
 * An endpoint's signing secrets, the newest first. Each version that is in use has exactly one secret without an end;
 * the others of that version are on their way out. Every live one signs every request.
 *
 * Rotating replaces the secrets of one version and leaves those of the other alone, so an endpoint gets its first v1a
 * secret, and has both, by a rotation; it leaves a version by ending that version's secrets. What it is never left
 * without is a secret that has no end.
 */
const MOST_LIVE = 10;

export interface SecretPlace {
  tenant: string;
  endpoint: string;
}

export async function dataKeysOf(manager: EntityManager, tenant: string): Promise<WrappedKey[]> {
  return (await manager.findOneByOrFail(TenantRow, { id: tenant })).dataKeys;
}

/** A new random secret of a version, sealed. */
export function newSecret(
  vault: Vault,
  dataKeys: WrappedKey[],
  place: SecretPlace,
  atMs: number,
  version: SignatureVersion,
): SealedSecret {
  return seal(vault, dataKeys, place, atMs, version, newSigningSecret(version));
}

/** A secret of the caller's own, sealed; or a Problem that points at it. */
export function ownSecret(
  vault: Vault,
  dataKeys: WrappedKey[],
  place: SecretPlace,
  atMs: number,
  given: { text: string; pointer: string; version?: SignatureVersion | undefined },
): SealedSecret {
  const { text, pointer, version } = given;
  const key = signingKey(text);
  if (key === null) {
    const message = 'must hold an Ed25519 seed and the public key that belongs to it';
    throw fieldProblem([{ pointer, code: 'bad_secret', message }]);
  }
  if (version !== undefined && version !== key.version) {
    const message = `is a secret for ${key.version}, not for ${version}`;
    throw fieldProblem([{ pointer, code: 'other_version', message }]);
  }
  return seal(vault, dataKeys, place, atMs, key.version, text);
}

function seal(
  vault: Vault,
  [dataKey]: WrappedKey[],
  { tenant, endpoint }: SecretPlace,
  atMs: number,
  version: SignatureVersion,
  secret: string,
): SealedSecret {
  if (!dataKey) throw new Error(`tenant ${tenant} has no data key`);
  const id = newId('secret', atMs);
  const sealed = vault.seal(dataKey, endpointSecretContext(tenant, endpoint, id), secret);
  return { id, version, sealed, createdAt: atMs, expiresAt: null };
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
  const until = nowMs + overlapSeconds * 1_000;
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

/** The secrets without the one of this id; or why it is not ended. */
export function without(
  secrets: SealedSecret[],
  id: string,
  nowMs: number,
): SealedSecret[] | 'absent' | 'last' {
  const live = liveSecrets(secrets, nowMs);
  const rest = live.filter((secret) => secret.id !== id);
  if (rest.length === live.length) return 'absent';
  return rest.some(({ expiresAt }) => expiresAt === null) ? rest : 'last';
}

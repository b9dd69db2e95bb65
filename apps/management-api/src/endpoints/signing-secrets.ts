import { randomBytes } from 'node:crypto';
import { newId, type SealedSecret, type WrappedKey } from '@posthaste/contracts';
import { endpointSecretContext, type Vault } from '@posthaste/vault';

/** What the specification recommends at least; 256 bits. */
const SECRET_BYTES = 32;
/** A sender that signs with more than this many at once makes headers receivers refuse. */
const MOST_LIVE = 10;

/** A new secret for an endpoint, sealed: the caller's own, or a random one. */
export function sealSecret(
  vault: Vault,
  dataKeys: WrappedKey[],
  owner: { tenant: string; endpoint: string },
  atMs: number,
  given?: string,
): SealedSecret {
  const [dataKey] = dataKeys;
  if (!dataKey) throw new Error(`tenant ${owner.tenant} has no data key`);
  const id = newId('secret', atMs);
  const secret = given ?? `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
  return {
    id,
    version: 'v1',
    sealed: vault.seal(dataKey, endpointSecretContext(owner.tenant, owner.endpoint, id), secret),
    createdAt: atMs,
    expiresAt: null,
  };
}

/** The secrets after a rotation: the new one first, the others for `overlapSeconds` more but never longer than they had. */
export function rotate(
  secrets: SealedSecret[],
  fresh: SealedSecret,
  overlapSeconds: number,
  nowMs: number,
): SealedSecret[] {
  const until = nowMs + overlapSeconds * 1_000;
  const kept = secrets
    .map((secret) => ({ ...secret, expiresAt: Math.min(secret.expiresAt ?? until, until) }))
    .filter(({ expiresAt }) => expiresAt > nowMs);
  return [fresh, ...kept].slice(0, MOST_LIVE);
}

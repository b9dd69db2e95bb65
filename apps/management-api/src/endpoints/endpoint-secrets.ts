import type {
  EndpointSecret,
  RotateSecret,
  SealedSecret,
  SecretKind,
  SecretQuery,
  WireProfile,
  WrappedKey,
} from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { endpointSecretContext, type Vault } from '@posthaste/vault';
import { publicKeyOf, secretKindsOf, signingKey } from '@posthaste/wire';
import type { Author, Reach } from '../access/principal.js';
import type { Changes, Draft } from '../changes/changes.js';
import type { HistoryReader } from '../history/history-reader.js';
import { requireMatch } from '../http/if-match.js';
import { absent, fieldProblem } from '../http/refusals.js';
import { endpointKind, type EndpointRow } from './endpoint.entity.js';
import { type EndpointRef, findEndpoint, lockEndpoint } from './find-endpoint.js';
import {
  dataKeysOf,
  isAlwaysSigned,
  liveSecrets,
  newSecret,
  ownSecret,
  rotate,
  without,
} from './signing-secrets.js';

/** A secret in the clear, beside what is kept of it. */
interface OpenSecret extends SealedSecret {
  text: string;
}

/** The secrets an endpoint's requests are signed with: shown, replaced, ended. Each leaves an audit entry. */
export class EndpointSecrets {
  constructor(
    private readonly changes: Changes,
    private readonly vault: Vault,
    private readonly history: HistoryReader,
  ) {}

  /** @param query `orOther`: where there is none of the version, the newest of another will do. */
  async reveal(
    author: Author,
    reach: Reach,
    ref: EndpointRef,
    { version, orOther = false }: SecretQuery & { orOther?: boolean },
  ): Promise<EndpointSecret> {
    const { row, secrets } = await this.changes.make(author, async (draft) => {
      const row = await findEndpoint(draft.manager, reach, ref);
      const { id, tenant } = row;
      if (row.secrets.some(({ writeOnly }) => writeOnly)) throw writtenOnly();
      await draft.audit(tenant, 'endpoint.secret_read', { kind: 'endpoint', id, version: row.version }, []);
      const dataKeys = await dataKeysOf(draft.manager, tenant);
      const secrets = liveSecrets(row.secrets, draft.at.getTime()).map((secret): OpenSecret => {
        const context = endpointSecretContext(tenant, id, secret.id);
        return { ...secret, text: this.vault.open(dataKeys, context, secret.sealed) };
      });
      return { row, secrets };
    });
    const asked = secrets.find((secret) => version === undefined || secret.version === version);
    const newest = asked ?? (orOther ? secrets[0] : undefined);
    if (!newest && version === undefined) throw absent('signing secret', ':endpoint');
    if (!newest) throw absent(`secret of version ${version}`, '?version');
    const lastAttemptAt = await this.lastAttemptAt(row);
    return {
      key: newest.text,
      public_key: publicKeyOf(newest.text, newest.version),
      secrets: secrets.map((secret) => listed(secret, lastAttemptAt)),
    };
  }

  async rotate(
    author: Author,
    reach: Reach,
    ref: EndpointRef,
    { key, version, overlap_seconds }: RotateSecret,
    ifMatch?: string,
  ): Promise<EndpointRow> {
    return this.changes.make(author, async (draft) => {
      const row = await lockEndpoint(draft, reach, ref);
      requireMatch(ifMatch, row.version);
      const nowMs = draft.at.getTime();
      const dataKeys = await dataKeysOf(draft.manager, row.tenant);
      const place = { tenant: row.tenant, endpoint: row.id };
      const { profile } = row;
      const kind = kindToMake(profile, version);
      const fresh =
        key === undefined
          ? newSecret(this.vault, dataKeys, place, nowMs, kind)
          : ownSecret(this.vault, dataKeys, place, nowMs, { profile, text: key, pointer: '/key', version });
      const others = key === undefined ? row.secrets : this.withoutKey(row, key, dataKeys);
      row.secrets = rotate(others, fresh, overlap_seconds, nowMs);
      await draft.write(endpointKind, row, 'endpoint.secret_rotated', ['secret']);
      return row;
    });
  }

  /** Replaces all of them at once, within another change, by one that is never shown, or by none; answers if that changed any. */
  async replaceAll(
    draft: Draft,
    row: EndpointRow,
    given: { text: string | null; pointer: string },
  ): Promise<boolean> {
    const { text, pointer } = given;
    if (text === null) {
      const hadAny = row.secrets.length > 0;
      row.secrets = [];
      return hadAny;
    }
    const dataKeys = await dataKeysOf(draft.manager, row.tenant);
    const place = { tenant: row.tenant, endpoint: row.id };
    const own = { text, pointer, profile: row.profile };
    const secret = ownSecret(this.vault, dataKeys, place, draft.at.getTime(), own);
    row.secrets = [{ ...secret, writeOnly: true }];
    return true;
  }

  /** Ends one secret now. Without any, requests are no longer signed, where the profile has that. */
  async end(
    author: Author,
    reach: Reach,
    ref: EndpointRef & { secret: string },
    ifMatch?: string,
  ): Promise<EndpointRow> {
    return this.changes.make(author, async (draft) => {
      const row = await lockEndpoint(draft, reach, ref);
      requireMatch(ifMatch, row.version);
      const rest = without(row.secrets, ref.secret, draft.at.getTime(), !isAlwaysSigned(row.profile));
      if (rest === 'absent') throw absent('secret', ':secret');
      if (rest === 'last') {
        const message = 'is the only one that has no end; rotate it with overlap_seconds 0 instead';
        throw new Problem('conflict', 'An endpoint is never left without a signing secret.', [
          { pointer: ':secret', code: 'last_secret', message },
        ]);
      }
      row.secrets = rest;
      await draft.write(endpointKind, row, 'endpoint.secret_ended', ['secret']);
      return row;
    });
  }

  /** Requests are no longer signed; a rotation signs them again. Of no effect where they were not. */
  async switchOff(author: Author, reach: Reach, ref: EndpointRef, ifMatch?: string): Promise<EndpointRow> {
    return this.changes.make(author, async (draft) => {
      const row = await lockEndpoint(draft, reach, ref);
      requireMatch(ifMatch, row.version);
      if (isAlwaysSigned(row.profile)) {
        throw new Problem('conflict', `Requests of profile ${row.profile} are always signed.`);
      }
      if (row.secrets.length === 0) return row;
      row.secrets = [];
      await draft.write(endpointKind, row, 'endpoint.secret_ended', ['secret']);
      return row;
    });
  }

  /** The secrets but those that are this very key: twice, it would sign every request twice. */
  private withoutKey({ tenant, id, secrets }: EndpointRow, text: string, keys: WrappedKey[]): SealedSecret[] {
    return secrets.filter(({ id: secret, version, sealed }) => {
      const kind = version === 'text' ? 'text' : undefined;
      const own = this.vault.open(keys, endpointSecretContext(tenant, id, secret), sealed);
      const [one, other] = [signingKey(own, kind), signingKey(text, kind)];
      return !one || !other || !one.key.equals(other.key);
    });
  }

  /** Null when there is none lately, and also when history is away: a secret must be readable without it. */
  private async lastAttemptAt({ tenant, account, id }: EndpointRow): Promise<number | null> {
    try {
      const asked = { tenant, account, endpoint: id };
      const { started_at } = await this.history.read((client) => client.getLastAttempt(asked));
      return started_at ?? null;
    } catch (error) {
      if (error instanceof Problem && error.code === 'unavailable') return null;
      throw error;
    }
  }
}

function writtenOnly(): Problem {
  const detail =
    'The secret was given through an API that never shows it; after a rotation there is one to read.';
  return new Problem('conflict', detail, [
    { pointer: ':endpoint', code: 'write_only', message: 'has a secret that is never shown' },
  ]);
}

/** What a rotation that brings no secret makes. */
function kindToMake(profile: WireProfile, asked: SecretKind | undefined): SecretKind {
  const kinds = secretKindsOf(profile);
  const kind = asked ?? kinds[0];
  if (kind !== undefined && kinds.includes(kind)) return kind;
  const message = `must be ${kinds.join(' or ')} for profile ${profile}`;
  throw fieldProblem([{ pointer: '/version', code: 'other_profile', message }]);
}

function listed(
  { id, version, createdAt, expiresAt, text }: OpenSecret,
  lastAttemptAt: number | null,
): EndpointSecret['secrets'][number] {
  const timeOf = (ms: number) => new Date(ms).toISOString();
  return {
    id,
    version,
    created_at: timeOf(createdAt),
    expires_at: expiresAt === null ? null : timeOf(expiresAt),
    last_used_at: lastAttemptAt === null || lastAttemptAt < createdAt ? null : timeOf(lastAttemptAt),
    public_key: publicKeyOf(text, version),
  };
}

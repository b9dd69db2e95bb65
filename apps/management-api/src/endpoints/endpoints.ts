import {
  type CreateEndpoint,
  type Endpoint,
  type EndpointHealth,
  EndpointInput,
  isId,
  newId,
  type PageQuery,
  type PatchEndpoint,
  type PublicJwk,
  type WrappedKey,
} from '@posthaste/contracts';
import type { EgressPolicy } from '@posthaste/egress';
import { Problem } from '@posthaste/runtime';
import type { Vault } from '@posthaste/vault';
import { type DataSource, IsNull } from 'typeorm';
import { findAccount } from '../accounts/accounts.js';
import type { Author, Reach } from '../access/principal.js';
import { type Changes, type Draft, isTaken } from '../changes/changes.js';
import type { Cursors, Page } from '../http/cursors.js';
import { readHealth } from '../endpoint-health/read-health.js';
import { requireMatch } from '../http/if-match.js';
import { listPage } from '../http/listing.js';
import { changedFields } from '../http/merge-patch.js';
import { fieldProblem } from '../http/refusals.js';
import { callable, checked } from '../http/validate.js';
import { storedCertificate } from './client-certificate.js';
import { applyPatch, endpointView, toColumns, toInput } from './endpoint-fields.js';
import { endpointKind, EndpointRow } from './endpoint.entity.js';
import { type EndpointRef, findEndpoint, findEndpointOrNull, lockEndpoint } from './find-endpoint.js';
import { refuseForeignClient } from './foreign-client.js';
import { refuseTwoAuthorizations, storedOAuth } from './oauth-client.js';
import { type KeyOfClient, keySet } from './oauth-key.js';
import { credentialSealer } from './seal-credential.js';
import { refuseFixed, refuseMisfits } from './misfits.js';
import { dataKeysOf, firstSecrets } from './signing-secrets.js';

/** What else becomes of the endpoint in the same change; answers the names of what it changed. */
export type Also = (row: EndpointRow, draft: Draft) => Promise<string[]>;
const nothingElse: Also = async () => [];

/** Where accounts want their messages. Each change is a new version of the whole endpoint. */
export class Endpoints {
  constructor(
    private readonly database: DataSource,
    private readonly changes: Changes,
    private readonly cursors: Cursors,
    private readonly vault: Vault,
    private readonly egress: EgressPolicy,
  ) {}

  async get(reach: Reach, ref: EndpointRef): Promise<EndpointRow> {
    return findEndpoint(this.database.manager, reach, ref);
  }

  async withHealth(reach: Reach, ref: EndpointRef): Promise<{ row: EndpointRow; health: EndpointHealth }> {
    const row = await this.get(reach, ref);
    return { row, health: await readHealth(this.database, row) };
  }

  /** Null for a foreign or absent one. */
  async find(reach: Reach, ref: EndpointRef): Promise<EndpointRow | null> {
    return findEndpointOrNull(this.database.manager, reach, ref);
  }

  /** The ids of an account's endpoints that can be sent to. */
  async sendable({ tenant, account }: Pick<EndpointRow, 'tenant' | 'account'>): Promise<string[]> {
    const where = { tenant, account, enabled: true, mode: 'push' as const, deletedAt: IsNull() };
    return (await this.database.manager.find(EndpointRow, { where, select: { id: true } })).map(
      ({ id }) => id,
    );
  }

  /** The id behind a reference, which need not be of an endpoint that is still there; null for an unknown uid. */
  async idOf(reach: Reach, { account, endpoint }: Required<EndpointRef>): Promise<string | null> {
    if (isId('endpoint', endpoint)) return endpoint;
    return (await findEndpointOrNull(this.database.manager, reach, { account, endpoint }))?.id ?? null;
  }

  /** @param only lists those of one mode or profile */
  async list(
    reach: Reach,
    accountRef: string,
    page: PageQuery,
    only: Partial<Pick<EndpointRow, 'mode' | 'profile'>> = {},
  ): Promise<Page<Endpoint>> {
    const { id } = await findAccount(this.database.manager, reach, accountRef);
    return listPage(
      this.cursors,
      this.database.manager,
      {
        rows: EndpointRow,
        list: { tenant: reach.tenant, route: `endpoints of ${id}`, filter: only },
        where: { tenant: reach.tenant, account: id, deletedAt: IsNull(), ...only },
        view: endpointView,
      },
      page,
    );
  }

  async create(
    author: Author,
    reach: Reach,
    accountRef: string,
    { secret, ...input }: CreateEndpoint,
    also = nothingElse,
  ): Promise<EndpointRow> {
    const fields = this.storable(input);
    return this.changes
      .make(author, async (draft) => {
        const account = await findAccount(draft.manager, reach, accountRef, true);
        const id = newId('endpoint', draft.at.getTime());
        const dataKeys = await dataKeysOf(draft.manager, reach.tenant);
        const place = { tenant: reach.tenant, endpoint: id };
        const own = { profile: fields.profile, secret };
        const secrets = firstSecrets(this.vault, dataKeys, place, draft.at.getTime(), own);
        const row = Object.assign(new EndpointRow(), toColumns(fields), {
          id,
          tenant: reach.tenant,
          account: account.id,
          version: 0,
          disabledReason: fields.enabled ? null : 'requested',
          ...(await this.credentials(draft, place, dataKeys, fields, null)),
          healthSince: null,
          secrets,
          disabledAt: null,
          createdAt: draft.at,
          deletedAt: null,
        });
        await refuseForeignClient(draft.manager, row);
        const more = await also(row, draft);
        await draft.write(endpointKind, row, 'endpoint.created', [
          ...Object.keys(input),
          ...(secrets.length > 0 ? ['secret'] : []),
          ...more,
        ]);
        return row;
      })
      .catch(explainTakenUid);
  }

  async patch(
    author: Author,
    reach: Reach,
    ref: EndpointRef,
    patch: PatchEndpoint,
    ifMatch?: string,
    also = nothingElse,
  ): Promise<EndpointRow> {
    return this.changes
      .make(author, async (draft) => {
        const row = await lockEndpoint(draft, reach, ref);
        requireMatch(ifMatch, row.version);
        const before = toInput(row);
        const after = checked(EndpointInput, applyPatch(before, patch));
        // A URL that was fine when it was set stays, even if the rules have become stricter since.
        const fields = this.storable(after, before);
        const changed = changedFields(before, fields);
        refuseFixed(changed);
        Object.assign(row, toColumns(fields));
        if (changed.includes('oauth') || changed.includes('client_certificate')) {
          const dataKeys = await dataKeysOf(draft.manager, row.tenant);
          const owner = { tenant: row.tenant, endpoint: row.id };
          Object.assign(row, await this.credentials(draft, owner, dataKeys, fields, row));
          await refuseForeignClient(draft.manager, row);
        }
        if (changed.includes('enabled')) row.disabledReason = fields.enabled ? null : 'requested';
        if (changed.includes('url') || (changed.includes('enabled') && row.enabled))
          row.healthSince = draft.at;
        changed.push(...(await also(row, draft)));
        await draft.write(endpointKind, row, 'endpoint.updated', changed);
        return row;
      })
      .catch(explainTakenUid);
  }

  /** Switches deliveries on or off. Switching to what it is changes nothing. */
  async setEnabled(
    author: Author,
    reach: Reach,
    ref: EndpointRef,
    enabled: boolean,
    ifMatch?: string,
  ): Promise<EndpointRow> {
    return this.changes.make(author, async (draft) => {
      const row = await lockEndpoint(draft, reach, ref);
      requireMatch(ifMatch, row.version);
      const changed = row.enabled === enabled ? [] : ['enabled'];
      if (changed.length > 0) row.disabledReason = enabled ? null : 'requested';
      if (changed.length > 0 && enabled) row.healthSince = draft.at;
      row.enabled = enabled;
      await draft.write(endpointKind, row, enabled ? 'endpoint.enabled' : 'endpoint.disabled', changed);
      return row;
    });
  }

  async remove(author: Author, reach: Reach, ref: EndpointRef, ifMatch?: string): Promise<void> {
    await this.changes.make(author, async (draft) => {
      const row = await lockEndpoint(draft, reach, ref);
      requireMatch(ifMatch, row.version);
      row.deletedAt = draft.at;
      row.secrets = [];
      row.oauth = null;
      row.clientCertificate = null;
      await draft.write(endpointKind, row, 'endpoint.deleted', ['deleted']);
    });
  }

  /** The fields with new URLs in the form to keep, or a Problem naming the rule one breaks. */
  private storable(input: EndpointInput, before?: EndpointInput): EndpointInput {
    const { url, shadow_url } = input;
    return {
      ...this.named(input),
      url: url === before?.url || input.mode === 'feed' ? url : callable(url, '/url', this.egress),
      shadow_url:
        shadow_url === null || shadow_url === before?.shadow_url
          ? shadow_url
          : callable(shadow_url, '/shadow_url', this.egress),
    };
  }

  /** The public keys published under the id; none for an unknown one, or one whose endpoint is gone. */
  async publishedKeys(jwks: string): Promise<PublicJwk[]> {
    const [found] = await this.database.query<{ key: KeyOfClient }[]>(
      `select oauth->'key' as key from config.endpoint where oauth->'key'->>'jwks' = $1`,
      [jwks],
    );
    return found ? keySet(found.key, Date.now()) : [];
  }

  /** What the receiver knows us by, sealed; what stays as it was keeps its seal. */
  private async credentials(
    draft: Draft,
    owner: { tenant: string; endpoint: string },
    dataKeys: WrappedKey[],
    input: EndpointInput,
    current: EndpointRow | null,
  ): Promise<Pick<EndpointRow, 'oauth' | 'clientCertificate'>> {
    const nowMs = draft.at.getTime();
    const seal = credentialSealer(this.vault, dataKeys, owner, nowMs);
    const { oauth = null, clientCertificate = null } = current ?? {};
    return {
      oauth: await storedOAuth(input.oauth, oauth, { egress: this.egress, seal, nowMs }),
      clientCertificate: storedCertificate(input.client_certificate, clientCertificate, { seal, nowMs }),
    };
  }

  /** What any change must keep to. A uid of the form of our ids would be looked up as one and never be found. */
  private named(input: EndpointInput): EndpointInput {
    refuseTwoAuthorizations(input);
    refuseMisfits(input);
    if (input.uid === null || !isId('endpoint', input.uid)) return input;
    const message = 'must not look like an id of ours';
    throw fieldProblem([{ pointer: '/uid', code: 'reserved_form', message }]);
  }
}

function explainTakenUid(error: unknown): never {
  if (!isTaken(error)) throw error;
  throw new Problem('conflict', 'Another endpoint of the account has this uid.', [
    { pointer: '/uid', code: 'taken', message: 'is taken by another endpoint of the account' },
  ]);
}

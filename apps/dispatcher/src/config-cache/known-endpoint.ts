import type { LaneSettings } from '../lanes/lane.js';
import type { EndpointState, OAuthClient, SealedSecret, TenantState } from '@posthaste/contracts';
import { type ClientCertificate, tokenClient, type TokenClient } from '@posthaste/egress';
import { endpointCredentialContext, endpointSecretContext, type Vault } from '@posthaste/vault';
import { type Secrets, secretsOf } from '../send/secrets.js';
import { customHeaders, signingKey, type WireEndpoint } from '@posthaste/wire';

/** An endpoint as last heard of, with what rendering for it needs prepared on first use. */
export class KnownEndpoint {
  private wireEndpoint: WireEndpoint | undefined;
  private laneSettings: LaneSettings | undefined;
  private openedOAuth: TokenClient | undefined;
  private openedBefore: TokenClient | undefined;
  private openedCertificate: ClientCertificate | undefined;
  private openedSecrets: Secrets | undefined;

  constructor(
    readonly state: EndpointState,
    private readonly tenantOf: (id: string) => TenantState | undefined,
    private readonly vault: Vault,
  ) {}

  /** Why nothing is to be sent to it any more; null when it is to be. */
  get goneBecause(): 'endpoint_deleted' | 'endpoint_disabled' | null {
    if (this.state.deleted || this.tenantOf(this.state.tenant)?.deleted) return 'endpoint_deleted';
    return this.state.enabled ? null : 'endpoint_disabled';
  }

  /** The same object for as long as the endpoint is the same. */
  get lane(): LaneSettings {
    const { url, rateLimit } = this.state;
    this.laneSettings ??= { origin: URL.parse(url)?.origin ?? url, rateLimit };
    return this.laneSettings;
  }

  /**
   * Opens the secrets once. Throws while they cannot be opened: the tenant's keys may come after the endpoint, since
   * the two are on different partitions.
   */
  wire(): WireEndpoint {
    this.wireEndpoint ??= {
      headers: customHeaders(this.state.headers),
      secrets: this.state.secrets.map((secret) => ({
        ...this.openKey(secret),
        expiresAt: secret.expiresAt,
      })),
      include: this.state.include,
    };
    return this.wireEndpoint;
  }

  /**
   * The endpoint for requests that do not count: its receiver is told so by a header of ours. The given state may differ
   * in where they go. Throws as `wire()` does.
   */
  flagged(header: 'webhook-test' | 'webhook-shadow', state = this.state): KnownEndpoint {
    const { headers, ...rest } = this.wire();
    const flagged = new KnownEndpoint(state, this.tenantOf, this.vault);
    flagged.wireEndpoint = { headers: { ...headers, [header]: 'true' }, ...rest };
    return flagged;
  }

  /** Who asks for the tokens its receiver wants; null when it wants none. Opens the credential once, like `wire`. */
  oauth(now: number): TokenClient | null {
    const { oauth } = this.state;
    if (oauth === null) return null;
    const { key } = oauth;
    // While a new key spreads, the one before still signs.
    if (key?.previous && now < key.previous.signsUntil) {
      const { public: before, credential } = key.previous;
      this.openedBefore ??= this.openOAuth({ ...oauth, credential, key: { public: before, jwks: key.jwks } });
      return this.openedBefore;
    }
    this.openedOAuth ??= this.openOAuth(oauth);
    return this.openedOAuth;
  }

  /** What its receiver is shown in the TLS handshake; null for nothing. Opens the key once, like `wire`. */
  clientCertificate(): ClientCertificate | null {
    const certificate = this.state.clientCertificate;
    if (certificate === null) return null;
    this.openedCertificate ??= {
      chain: certificate.chain,
      key: this.openCredential('client_certificate', certificate.key),
      id: certificate.key.id,
    };
    return this.openedCertificate;
  }

  private openOAuth(oauth: OAuthClient): TokenClient {
    return tokenClient(this.state.tenant, oauth, this.openCredential('oauth', oauth.credential));
  }

  private openCredential(
    column: 'oauth' | 'client_certificate',
    { id, sealed }: { id: string; sealed: string },
  ): string {
    const { tenant, id: endpoint } = this.state;
    const dataKeys = this.tenantOf(tenant)?.dataKeys ?? [];
    return this.vault.open(dataKeys, endpointCredentialContext(tenant, endpoint, column, id), sealed);
  }

  /** What of it must not be stored. Throws like `wire`. */
  secrets(): Secrets {
    this.openedSecrets ??= secretsOf(
      this.wire().headers,
      this.state.secrets.map((secret) => this.openSecret(secret)),
    );
    return this.openedSecrets;
  }

  private openKey(secret: SealedSecret): NonNullable<ReturnType<typeof signingKey>> {
    const key = signingKey(this.openSecret(secret), secret.version);
    if (key === null)
      throw new Error(`secret ${secret.id} of endpoint ${this.state.id} is not a signing secret`);
    return key;
  }

  private openSecret({ id, sealed }: SealedSecret): string {
    const { tenant, id: endpoint } = this.state;
    const dataKeys = this.tenantOf(tenant)?.dataKeys ?? [];
    return this.vault.open(dataKeys, endpointSecretContext(tenant, endpoint, id), sealed);
  }
}

import type { EndpointState, TenantState } from '@posthaste/contracts';
import { endpointSecretContext, type Vault } from '@posthaste/vault';
import type { LaneSettings } from '../lanes/lane.js';
import { type Secrets, secretsOf } from '../send/secrets.js';
import { customHeaders, signingKey, type WireEndpoint } from '@posthaste/wire';

/** An endpoint as last heard of, with what rendering for it needs prepared on first use. */
export class KnownEndpoint {
  private wireEndpoint: WireEndpoint | undefined;
  private laneSettings: LaneSettings | undefined;
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
      secrets: this.state.secrets.map(({ id, sealed, expiresAt }) => ({
        ...this.openKey(id, sealed),
        expiresAt,
      })),
    };
    return this.wireEndpoint;
  }

  /**
   * The endpoint for requests that do not count: its receiver is told so by a header of ours. The given state may differ
   * in where they go. Throws as `wire()` does.
   */
  flagged(header: 'webhook-test' | 'webhook-shadow', state = this.state): KnownEndpoint {
    const { headers, secrets } = this.wire();
    const flagged = new KnownEndpoint(state, this.tenantOf, this.vault);
    flagged.wireEndpoint = { headers: { ...headers, [header]: 'true' }, secrets };
    return flagged;
  }

  /** What of it must not be stored. Throws like `wire`. */
  secrets(): Secrets {
    this.openedSecrets ??= secretsOf(
      this.wire().headers,
      this.state.secrets.map(({ id, sealed }) => this.openSecret(id, sealed)),
    );
    return this.openedSecrets;
  }

  private openKey(id: string, sealed: string): NonNullable<ReturnType<typeof signingKey>> {
    const key = signingKey(this.openSecret(id, sealed));
    if (key === null) throw new Error(`secret ${id} of endpoint ${this.state.id} is not a signing secret`);
    return key;
  }

  private openSecret(id: string, sealed: string): string {
    const { tenant, id: endpoint } = this.state;
    const dataKeys = this.tenantOf(tenant)?.dataKeys ?? [];
    return this.vault.open(dataKeys, endpointSecretContext(tenant, endpoint, id), sealed);
  }
}

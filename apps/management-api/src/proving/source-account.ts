import type { AccountUsage, Endpoint, Source, SourceState } from '@posthaste/contracts';
import { type RestAnswer, type TenantClient, waitFor } from '@posthaste/test-kit';
import { LinkupClient } from './linkup-client.js';
import { loggedMessages } from './logged-messages.js';
import type { TestBed } from './test-bed.js';

type InState<S> = Source & { state: Extract<SourceState, { status: S }> };

/** One account whose events come from a source, configured through one replica and looked at through the other. */
export class SourceAccount {
  private constructor(
    private readonly bed: TestBed,
    private readonly tenant: TenantClient,
    readonly uid: string,
    readonly id: string,
  ) {}

  static async create(bed: TestBed, tenant: TenantClient, uid: string): Promise<SourceAccount> {
    return new SourceAccount(bed, tenant, uid, (await tenant.putAccount(uid)).id);
  }

  get path(): string {
    return `/v1/accounts/${this.uid}/source`;
  }

  put(source: object): Promise<RestAnswer<Source>> {
    return this.tenant.rest.put(this.path, source);
  }

  async source(): Promise<Source> {
    return this.tenant.through(this.bed.replica.url).rest.ask('GET', this.path);
  }

  usage(query = ''): Promise<AccountUsage> {
    return this.tenant.rest.ask('GET', `/v1/accounts/${this.uid}/usage${query}`);
  }

  endpoint(more: object = {}): Promise<Endpoint> {
    const body = { mode: 'feed', ...more };
    return this.tenant.rest.ask('POST', `/v1/accounts/${this.uid}/endpoints`, { body });
  }

  enable(endpoint: string): Promise<RestAnswer<Endpoint>> {
    return this.tenant.rest.post(`/v1/endpoints/${endpoint}/enable`);
  }

  /** Every endpoint it has. */
  async disableAll(): Promise<void> {
    const { data } = await this.tenant.rest.ask<{ data: Endpoint[] }>(
      'GET',
      `/v1/accounts/${this.uid}/endpoints`,
    );
    for (const { id } of data) await this.disable(id);
  }

  /** The data of an answer of LinkUp's API. */
  async linkup(method: string, below: string, body: unknown): Promise<unknown> {
    const answer = await new LinkupClient(this.bed.api.url, this.tenant.key).call(`${method} ${below}`, body);
    if (answer.status !== 200) throw new Error(answer.bytes.toString());
    return answer.json.data;
  }

  /** Whom it knows has been listed, and taken note of. */
  async isSynced(): Promise<boolean> {
    const { rows } = await this.bed.database.query(
      'select from config.source_stream where account = $1 and synced_at is not null',
      [this.id],
    );
    return rows.length === 1;
  }

  disable(endpoint: string): Promise<RestAnswer<Endpoint>> {
    return this.tenant.rest.post(`/v1/endpoints/${endpoint}/disable`);
  }

  whenState<S extends SourceState['status']>(
    status: S,
    also: (state: InState<S>['state']) => boolean = () => true,
  ): Promise<InState<S>> {
    return waitFor(
      async () => {
        const source = (await this.source()) as InState<S>;
        if (source.state.status === status && also(source.state)) return source;
        throw new Error(JSON.stringify(source.state));
      },
      { what: `a source that is ${status}` },
    );
  }

  /** What was published to it, once there are so many. */
  published(count: number): Promise<{ type: string; payload: string }[]> {
    return waitFor(
      async () => {
        const records = (await loggedMessages(this.bed.log)).filter(({ meta }) => meta.account === this.id);
        // Twice in the log under one id is one message.
        const found = [...new Map(records.map((record) => [record.meta.id, record])).values()];
        if (found.length < count) throw new Error(`${found.length} of ${count}`);
        return found.map(({ meta, payload }) => ({ type: meta.type, payload: payload.toString() }));
      },
      { what: `${count} messages` },
    );
  }

  /** Makes what it was monitored for lie further back. */
  async grow(hours: number): Promise<void> {
    await this.bed.database.query(
      `update config.monitoring_period
          set started_at = started_at - make_interval(hours => $2), ended_at = ended_at - make_interval(hours => $2)
        where account = $1`,
      [this.id, hours],
    );
  }

  remove(): Promise<RestAnswer> {
    return this.tenant.rest.delete(`/v1/accounts/${this.uid}`);
  }
}

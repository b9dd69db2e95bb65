import { randomBytes } from 'node:crypto';
import { metrics } from '@opentelemetry/api';
import {
  type ConfigState,
  type DeliveryAttempted,
  deliveryId,
  type DeliveryEvent,
  EndpointState,
  type MessageMeta,
  messagePosition,
  newId,
  type OAuthClient,
  type SealedSecret,
  type Topic,
  topics,
} from '@posthaste/contracts';
import type { EventLog, Position } from '@posthaste/event-log';
import { createLogger, Health } from '@posthaste/runtime';
import { waitFor } from '@posthaste/test-kit';
import { DISPATCHER_GROUP, type RunningDispatcher, startDispatcher } from '../dispatcher.js';
import { endpointCredentialContext, endpointSecretContext, Vault } from '@posthaste/vault';
import type { LogUnderTest } from './logs.js';
import { WatchedLog } from './watched-log.js';

const kek = { id: 'k1', key: randomBytes(32) };
const vault = new Vault([kek]);
const { logger } = createLogger('dispatcher', 'silent');

/** A dispatcher started by a test, and its own connection to the log. */
export interface Actor {
  dispatcher: RunningDispatcher;
  health: Health;
  log: WatchedLog;
}

export interface Published {
  meta: MessageMeta;
  position: Position;
  /** One for each endpoint it was published to. */
  deliveries: string[];
}

/** One tenant on one log: writes what the other services would, and reads what dispatchers write. */
export class Stage {
  readonly tenant = newId('tenant');
  readonly events: DeliveryEvent[] = [];
  private readonly dataKey = vault.newDataKey(this.tenant);
  private readonly acting = new Set<Actor>();
  private following: { close(): Promise<void> } | undefined;

  constructor(
    readonly log: EventLog,
    private readonly under: LogUnderTest,
  ) {}

  /** Its tenant is configured, and it follows what dispatchers write. */
  static async prepare(under: LogUnderTest): Promise<Stage> {
    const stage = new Stage(await under.open(), under);
    await stage.log.admin.ensureTopics(Object.values(topics), 'single');
    await stage.configureTenant();
    await stage.follow();
    return stage;
  }

  /** Another tenant on the same log, of which nothing is configured yet. */
  newTenant(): Stage {
    return new Stage(this.log, this.under);
  }

  private async follow(): Promise<void> {
    this.following = await this.log.reader.follow(topics.deliveries, (record) => {
      const event = topics.deliveries.decode(record);
      this.events.push(event);
    });
  }

  configureTenant({ version = 1, deleted = false } = {}): Promise<unknown> {
    const { tenant: id, dataKey } = this;
    return this.configure({ kind: 'tenant', id, version, deleted, name: 't', dataKeys: [dataKey] });
  }

  configure(state: ConfigState): Promise<unknown> {
    return this.append(topics.config, state);
  }

  newEndpoint(url: string, fields: Partial<EndpointState> = {}): { state: EndpointState; secret: string } {
    const id = newId('endpoint');
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    const state = EndpointState.parse({
      ...{ kind: 'endpoint', id, version: 1, deleted: false, tenant: this.tenant, account: newId('account') },
      ...{ config: 1, url, enabled: true, profile: 'standard', eventTypes: [], channels: [], headers: {} },
      ...{ retryPolicy: { preset: 'ada' }, timeoutSeconds: 15 },
      secrets: [this.sealSecret(id, secret)],
      ...fields,
    });
    return { state, secret };
  }

  async configureEndpoint(url: string, fields: Partial<EndpointState> = {}) {
    const { state, secret } = this.newEndpoint(url, fields);
    await this.configure(state);
    return { ...state, secret };
  }

  /** An endpoint whose receiver wants tokens for the credential; it is sealed here. */
  async configureOAuthEndpoint(
    url: string,
    credential: string,
    oauth: Omit<OAuthClient, 'credential'>,
    fields: Partial<EndpointState> = {},
  ) {
    const { state, secret } = this.newEndpoint(url, fields);
    const sealed = this.sealOAuth(state.id, credential);
    const configured: EndpointState = { ...state, oauth: { ...oauth, credential: sealed } };
    await this.configure(configured);
    return { ...configured, secret };
  }

  sealSecret(endpoint: string, text: string, fields: Partial<SealedSecret> = {}): SealedSecret {
    const id = newId('secret');
    const sealed = vault.seal(this.dataKey, endpointSecretContext(this.tenant, endpoint, id), text);
    return { id, version: 'v1', sealed, createdAt: 0, expiresAt: null, ...fields };
  }

  sealOAuth(endpoint: string, credential: string): OAuthClient['credential'] {
    const id = newId('secret');
    const context = endpointCredentialContext(this.tenant, endpoint, 'oauth', id);
    return { id, sealed: vault.seal(this.dataKey, context, credential) };
  }

  meta(endpoints: Pick<EndpointState, 'id' | 'version'>[], account: string): MessageMeta {
    const routes = endpoints.map(({ id, version }) => ({ endpoint: id, version }));
    const { tenant } = this;
    const facts = { type: 'invoice.paid', contentType: 'application/json', at: Date.now(), config: 1 };
    return { v: 1, id: newId('message'), tenant, account, ...facts, routes };
  }

  /** As management-api would, to endpoints of the first one's account. */
  async publish(
    endpoints: EndpointState[],
    payload = '{"a":1.10}',
    facts: Partial<MessageMeta> = {},
  ): Promise<Published> {
    const meta = { ...this.meta(endpoints, endpoints[0]?.account ?? ''), ...facts };
    const position = await this.append(topics.messages, { meta, payload: Buffer.from(payload) });
    return { meta, position, deliveries: endpoints.map(({ id }) => deliveryId(meta.id, id)) };
  }

  /** As the scheduler would, when the time of a next attempt has come. */
  async publishAgain(
    { meta, position: { partition, offset } }: Published,
    attempt: number,
    payload = '{"a":1.10}',
  ): Promise<void> {
    const position = messagePosition(partition, offset);
    await this.append(topics.due, {
      meta: { ...meta, attempt, trigger: 'retry', position },
      payload: Buffer.from(payload),
    });
  }

  publishMany(count: number, endpoint: EndpointState): Promise<Published[]> {
    return Promise.all(Array.from({ length: count }, () => this.publish([endpoint])));
  }

  async append<T>(topic: Topic<T>, item: T): Promise<Position> {
    const [position] = await this.log.producer.append([{ topic, ...topic.encode(item) }]);
    return position as Position;
  }

  /** The events of a delivery, once there are so many. */
  eventsOf(delivery: string | undefined, count = 1): Promise<DeliveryEvent[]> {
    const found = () => this.events.filter((event) => event.delivery === delivery);
    return waitFor(() => (found().length >= count ? found() : null), { what: `${count} events` });
  }

  /** The attempts of single-endpoint messages, once each has one. */
  async attemptsOf(published: Published[]): Promise<DeliveryAttempted[]> {
    const events = await Promise.all(published.map(({ deliveries }) => this.eventsOf(deliveries[0])));
    return events.flat().filter((event) => event.type === 'DeliveryAttempted');
  }

  async start(own: { lane?: number; drainSeconds?: number } = {}): Promise<Actor> {
    const log = new WatchedLog(await this.under.open());
    const health = new Health();
    const dispatcher = await startDispatcher({
      config: {
        POSTHASTE_LOG: this.under.waitsForHandOver ? 'postgres' : 'kafka',
        POSTHASTE_KEKS: `${kek.id}:${kek.key.toString('base64')}`,
        POSTHASTE_EGRESS_ALLOW: '127.0.0.0/8',
        POSTHASTE_EGRESS_DENY: '',
        DISPATCHER_LANE_IN_FLIGHT: own.lane ?? 16,
        SCHEDULE_GRPC: '127.0.0.1:1',
        DISPATCHER_ORIGIN_IN_FLIGHT: 128,
        DISPATCHER_IN_FLIGHT: 1_500,
        DISPATCHER_DRAIN_SECONDS: own.drainSeconds ?? 20,
        DISPATCHER_LOG_ATTEMPTS: 'on',
        GRPC_HOST: '127.0.0.1',
        GRPC_PORT: 0,
      },
      ...{ log, logger, health },
      telemetry: { meter: metrics.getMeter('test'), tracing: false },
      fatal: (error) => {
        throw error;
      },
    });
    const actor = { dispatcher, health, log };
    this.acting.add(actor);
    return actor;
  }

  async stop(actor: Actor): Promise<void> {
    this.acting.delete(actor);
    await actor.dispatcher.stop();
    await actor.log.close();
  }

  /** How many records of `messages` the group's commits leave to be done, or done again. */
  async lag(): Promise<number> {
    const lags = await this.log.admin.lag(DISPATCHER_GROUP, [topics.messages]);
    return lags.reduce((sum, { lag }) => sum + lag, 0);
  }

  /** Also those of a test that failed half-way: they would go on working in the next one. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.acting].map((actor) => this.stop(actor)));
  }

  async close(): Promise<void> {
    await this.stopAll();
    await this.following?.close();
    await this.log.close();
  }
}

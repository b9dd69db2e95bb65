import { type DynamicModule, Module, type Provider } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import type { EgressPolicy } from '@posthaste/egress';
import type { Logger } from '@posthaste/runtime';
import type { Vault } from '@posthaste/vault';
import { DataSource } from 'typeorm';
import { accounts } from './accounts/index.js';
import { Accounts } from './accounts/accounts.js';
import { Audit, audit } from './audit/index.js';
import { Changes } from './changes/changes.js';
import { endpoints } from './endpoints/index.js';
import { Endpoints } from './endpoints/endpoints.js';
import { EndpointSecrets } from './endpoints/endpoint-secrets.js';
import { eventTypes } from './event-types/index.js';
import { EventTypes } from './event-types/event-types.js';
import { Explain, explain } from './explain/index.js';
import { facades, LinkupWebhooks, MiddeskWebhooks, OidcKeys } from './facades/index.js';
import { Feeds, feeds } from './feeds/index.js';
import { History, history, type HistoryReader } from './history/index.js';
import type { Cursors } from './http/cursors.js';
import { ProblemFilter } from './http/problem-filter.js';
import { PublicUrl } from './http/public-url.js';
import { ValidationPipe } from './http/validate.js';
import { replays, Replays } from './replays/index.js';
import { Reconcile, reconcile } from './reconcile/index.js';
import { Keys } from './tenants/keys.js';
import { sources, Sources } from './sources/index.js';
import { stats, Stats } from './stats/index.js';
import { Tail, tail } from './tail/index.js';
import { tenants } from './tenants/index.js';
import { Tenants } from './tenants/tenants.js';
import { type Dispatch, testSend, TestSends } from './test-send/index.js';
import { usage, Usage } from './usage/index.js';
import { EndpointVersions, versions } from './versions/index.js';

export const entities = [
  ...tenants.entities,
  ...accounts.entities,
  ...endpoints.entities,
  ...eventTypes.entities,
  ...sources.entities,
];

export const controllers = [
  ...tenants.controllers,
  ...accounts.controllers,
  ...endpoints.controllers,
  ...eventTypes.controllers,
  ...versions.controllers,
  ...history.controllers,
  ...explain.controllers,
  ...replays.controllers,
  ...audit.controllers,
  ...feeds.controllers,
  ...tail.controllers,
  ...reconcile.controllers,
  ...stats.controllers,
  ...testSend.controllers,
  ...sources.controllers,
  ...usage.controllers,
  ...facades.controllers,
];

/** What the module cannot make itself: it lives as long as the process. */
export interface Surroundings {
  database: DataSource;
  vault: Vault;
  egress: EgressPolicy;
  cursors: Cursors;
  history: HistoryReader;
  dispatch: Dispatch;
  feeds: Feeds;
  tail: Tail;
  publicUrl: PublicUrl;
  pepper: string;
  logger: Logger;
}

@Module({})
export class AppModule {
  static within(surroundings: Surroundings): DynamicModule {
    return { module: AppModule, controllers, providers: providersWithin(surroundings) };
  }
}

function providersWithin(surroundings: Surroundings): Provider[] {
  const { database, vault, egress, cursors, pepper, logger } = surroundings;
  const changes = new Changes(database);
  const accountsOf = new Accounts(database, changes, cursors);
  const eventTypesOf = new EventTypes(database, changes, cursors);
  const endpointsOf = new Endpoints(database, changes, cursors, vault, egress);
  const secretsOf = new EndpointSecrets(changes, vault, surroundings.history);
  const historyOf = new History(surroundings.history, accountsOf, endpointsOf, cursors, changes);
  const oidcKeys = new OidcKeys({ database, changes, vault, logger });
  return [
    { provide: APP_FILTER, useValue: new ProblemFilter(logger) },
    { provide: APP_PIPE, useClass: ValidationPipe },
    { provide: Tenants, useValue: new Tenants(database, changes, cursors, vault) },
    { provide: Keys, useValue: new Keys(database, changes, cursors, pepper) },
    { provide: Accounts, useValue: accountsOf },
    { provide: PublicUrl, useValue: surroundings.publicUrl },
    { provide: Endpoints, useValue: endpointsOf },
    { provide: EndpointSecrets, useValue: secretsOf },
    { provide: OidcKeys, useValue: oidcKeys },
    {
      provide: MiddeskWebhooks,
      useValue: new MiddeskWebhooks(database, endpointsOf, secretsOf, oidcKeys),
    },
    { provide: LinkupWebhooks, useValue: new LinkupWebhooks(database, endpointsOf, secretsOf) },
    { provide: Feeds, useValue: surroundings.feeds },
    { provide: Audit, useValue: new Audit(surroundings.history) },
    { provide: Tail, useValue: surroundings.tail },
    { provide: Reconcile, useValue: new Reconcile(surroundings.history, cursors) },
    { provide: Stats, useValue: new Stats(surroundings.history) },
    { provide: EventTypes, useValue: eventTypesOf },
    { provide: Sources, useValue: new Sources(database, changes, vault, egress) },
    { provide: Usage, useValue: new Usage(database) },
    {
      provide: TestSends,
      useValue: new TestSends(accountsOf, endpointsOf, eventTypesOf, surroundings.dispatch, changes),
    },
    { provide: History, useValue: historyOf },
    { provide: Explain, useValue: new Explain(database, cursors, historyOf, surroundings.history) },
    { provide: EndpointVersions, useValue: new EndpointVersions(database, cursors, surroundings.history) },
    {
      provide: Replays,
      useValue: new Replays(surroundings.history, accountsOf, endpointsOf, cursors, changes),
    },
  ];
}

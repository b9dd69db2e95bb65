import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { topics } from '@posthaste/contracts';
import { parseEgressPolicy, parseEgressProxy } from '@posthaste/egress';
import { openConfiguredLog } from '@posthaste/event-log';
import { createPool, migrate, type RunningService, type ServiceContext } from '@posthaste/runtime';
import { parseKeks, Vault } from '@posthaste/vault';
import { DataSource } from 'typeorm';
import { Authenticator, guardRoutes } from './access/authenticate.js';
import { AppModule, controllers, entities } from './app.module.js';
import { OutboxRelay } from './changes/relay.js';
import type { ManagementApiConfig } from './config.js';
import { startEndpointHealth } from './endpoint-health/index.js';
import { limitAdaRequests } from './facades/index.js';
import { Feeds } from './feeds/index.js';
import { Cursors } from './http/cursors.js';
import { HistoryReader } from './history/index.js';
import { serveDocs } from './http/docs.js';
import { openApiDocument } from './http/openapi.js';
import { PublicUrl } from './http/public-url.js';
import { undocumentedRoutes } from './http/routes.js';
import { createAdapter, prepareServer } from './http/server.js';
import { Configuration1790000000000 } from './migrations/1790000000000-configuration.js';
import { DeliveryEngine1791000000000 } from './migrations/1791000000000-delivery-engine.js';
import { EndpointHealth1791000000001 } from './migrations/1791000000001-endpoint-health.js';
import { PublishedKeys1791000000002 } from './migrations/1791000000002-published-keys.js';
import { Profiles1791000000003 } from './migrations/1791000000003-profiles.js';
import { Sources1791000000005 } from './migrations/1791000000005-sources.js';
import { KeyPermissions1791000000006 } from './migrations/1791000000006-key-permissions.js';
import { Retention1796000000000 } from './migrations/1796000000000-retention.js';
import { publishOpenApi, publishPool, registerPublish } from './publish/index.js';
import { startSourceStreams } from './sources/index.js';
import { Tail } from './tail/index.js';
import { Dispatch } from './test-send/index.js';

const VERSION = '0.1.0';

export interface ManagementApi extends RunningService {
  url: string;
}

/**
 * Puts the service together: database, log, relay, HTTP, in this order, and stops it in the reverse one. It serves
 * when all of them have been reached once; later losses show in /readyz and as 503, and heal by themselves.
 */
export async function startManagementApi({
  config,
  logger,
  health,
  telemetry,
  fatal,
}: Pick<
  ServiceContext<ManagementApiConfig>,
  'config' | 'logger' | 'health' | 'telemetry' | 'fatal'
>): Promise<ManagementApi> {
  await migrate(config.DATABASE_URL, 'config', [
    Configuration1790000000000,
    DeliveryEngine1791000000000,
    EndpointHealth1791000000001,
    PublishedKeys1791000000002,
    Profiles1791000000003,
    Sources1791000000005,
    KeyPermissions1791000000006,
    Retention1796000000000,
  ]);
  const database = await openDatabase(config);
  const log = await openConfiguredLog(config, {
    name: 'management-api',
    topics: Object.values(topics),
    logger,
  });
  const relay = new OutboxRelay({ databaseUrl: config.DATABASE_URL, log, logger });
  relay.start();
  health.addCheck('relay', () => relay.failure());
  health.addProbe('log', () => log.admin.endOffsets(topics.messages));

  const endpointHealth = await startEndpointHealth({
    databaseUrl: config.DATABASE_URL,
    database,
    log,
    logger,
    fatal,
  });

  const vault = new Vault(parseKeks(config.POSTHASTE_KEKS));
  const egress = parseEgressPolicy(config.POSTHASTE_EGRESS_ALLOW, config.POSTHASTE_EGRESS_DENY);
  const proxy = config.POSTHASTE_EGRESS_PROXY;
  const sourceStreams = startSourceStreams({
    databaseUrl: config.DATABASE_URL,
    database,
    log,
    vault,
    egress: { policy: egress, ...(proxy === undefined ? {} : { proxy: parseEgressProxy(proxy) }) },
    logger,
  });

  const cursors = new Cursors(config.POSTHASTE_KEY_PEPPER);
  const history = new HistoryReader(config.HISTORY_GRPC);
  const dispatch = new Dispatch(config.DISPATCH_GRPC);
  const feeds = new Feeds(history, database, logger);
  const tail = new Tail(log, database, logger);
  const adapter = createAdapter();
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.within({
      database,
      vault,
      egress,
      cursors,
      history,
      dispatch,
      feeds,
      tail,
      publicUrl: new PublicUrl(config.HTTP_PUBLIC_URL),
      pepper: config.POSTHASTE_KEY_PEPPER,
      logger,
    }),
    adapter,
    { bodyParser: false, logger: false },
  );
  const fastify = adapter.getInstance();
  prepareServer(fastify, logger);
  guardRoutes(
    fastify,
    new Authenticator(database, config.POSTHASTE_KEY_PEPPER, config.POSTHASTE_OPERATOR_KEY),
  );
  limitAdaRequests(fastify, config.ADA_RATE_LIMITS);
  const publishing = createPool({ url: config.DATABASE_URL, logger, ...publishPool });
  registerPublish(fastify, {
    pool: publishing,
    log,
    telemetry,
    logger,
    pepper: config.POSTHASTE_KEY_PEPPER,
    operatorKey: config.POSTHASTE_OPERATOR_KEY,
  });
  const document = openApiDocument({ controllers, others: [publishOpenApi()], version: VERSION });
  await serveDocs(fastify, document);
  await app.init();
  const undocumented = undocumentedRoutes(fastify, document);
  if (undocumented.length > 0) throw new Error(`not in the OpenAPI document: ${undocumented.join(', ')}`);
  await app.listen(config.HTTP_PORT, config.HTTP_HOST);
  const { address, port } = app.getHttpServer().address() as AddressInfo;
  logger.info({ address, port }, 'http.listening');
  return {
    url: `http://${address}:${port}`,
    stop: async () => {
      await app.close();
      feeds.stop();
      await tail.stop();
      await sourceStreams.stop();
      await endpointHealth.stop();
      await relay.stop();
      history.close();
      dispatch.close();
      await publishing.end();
      await log.close();
      await database.destroy();
    },
  };
}

async function openDatabase(config: ManagementApiConfig): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url: config.DATABASE_URL,
    entities,
    applicationName: 'management-api',
    poolSize: config.DATABASE_POOL,
    connectTimeoutMS: 5_000,
    extra: {
      keepAlive: true,
      // A frozen server does not keep its own time limits.
      query_timeout: 7_000,
      options: '-c statement_timeout=5s -c idle_in_transaction_session_timeout=10s',
    },
  }).initialize();
}

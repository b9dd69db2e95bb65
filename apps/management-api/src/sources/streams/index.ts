import { GuardedClient, type GuardedClientOptions } from '@posthaste/egress';
import type { EventLog } from '@posthaste/event-log';
import { createPool, type Logger, type RunningService } from '@posthaste/runtime';
import type { Vault } from '@posthaste/vault';
import type { DataSource } from 'typeorm';
import { Idempotency } from '../../publish/idempotency.js';
import { Publisher } from '../../publish/publisher.js';
import { endWithoutCredits } from '../../usage/credit-limit.js';
import { EventPublisher } from './event-publisher.js';
import { newOwner, SourceKeeper } from './source-keeper.js';

export interface SourceStreamsParts {
  databaseUrl: string;
  database: DataSource;
  log: EventLog;
  vault: Vault;
  egress: Pick<GuardedClientOptions, 'policy' | 'proxy'>;
  logger: Logger;
}

/** How late the end of a tenant's credits may be noticed. */
const CREDITS_EVERY_MS = 15_000;

/** Reads the sources of monitored accounts, beside the API: nothing of a request waits for it. */
export function startSourceStreams(parts: SourceStreamsParts): RunningService {
  const { databaseUrl, database, log, vault, egress, logger } = parts;
  const pool = createPool({ url: databaseUrl, name: 'management-api sources', max: 4, logger });
  const client = new GuardedClient(egress);
  const owner = newOwner();
  const idempotency = new Idempotency(pool);
  const publisher = new Publisher(log, idempotency, Date.now, (error) =>
    logger.warn({ err: error }, 'source.idempotency_failed'),
  );
  let creditsAt = 0;
  const keeper = new SourceKeeper({
    owner,
    databaseUrl,
    pool,
    client,
    vault,
    publisher: new EventPublisher(pool, publisher, idempotency, owner),
    logger,
    onSweep: async () => {
      if (performance.now() < creditsAt) return;
      creditsAt = performance.now() + CREDITS_EVERY_MS;
      const ended = await endWithoutCredits(database, new Date());
      if (ended > 0) logger.info({ accounts: ended }, 'monitoring.out_of_credits');
    },
  });
  keeper.start();
  return {
    stop: async () => {
      await keeper.stop();
      client.close();
      await pool.end();
    },
  };
}

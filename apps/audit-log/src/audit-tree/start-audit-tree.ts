import { SigningKey } from '@posthaste/audit-tree';
import { catchUpCheck, endsOf, type EventLog, runProjection } from '@posthaste/event-log';
import { createPool, type Health, type Logger } from '@posthaste/runtime';
import { AUDIT_TREE_GROUP, auditTreeProjection, auditTreeTopics } from './audit-tree.projection.js';

/** A change is in its tree this much later at most. */
const GATHER_MS = 200;

/** The keys of the environment variable, the current one first. */
export function auditKeys(text: string): SigningKey[] {
  return text.split(',').map((seed) => new SigningKey(Buffer.from(seed, 'base64')));
}

/** Grows the trees from now on; ready once they have what the log held at start. */
export async function startAuditTree(parts: {
  databaseUrl: string;
  log: EventLog;
  logger: Logger;
  health: Health;
  keys: SigningKey[];
  fatal: (error: unknown) => void;
  onAside: (topic: string) => void;
}): Promise<{ stop(): Promise<void> }> {
  const { log, logger, keys } = parts;
  const pool = createPool({ url: parts.databaseUrl, name: 'audit-tree', max: 2, logger });
  const store = auditTreeProjection({
    pool,
    keys,
    onAside: ({ topic, partition, record, reason }) => {
      parts.onAside(topic);
      logger.error({ topic, partition, offset: record.offset, reason }, 'audit.record_put_aside');
    },
    // Where logs are kept elsewhere, this is a witness: a tree that is cut off or replaced later does not fit it.
    onGrown: (growths) => {
      for (const { tenant, head } of growths) {
        logger.info({ tenant, size: head.size, checkpoint: head.checkpoint }, 'audit.checkpoint');
      }
    },
  });
  const ends = await endsOf(log, auditTreeTopics);
  const projection = await runProjection({
    log,
    group: AUDIT_TREE_GROUP,
    topics: auditTreeTopics,
    store,
    gatherMs: GATHER_MS,
    onRetry: (error) => logger.warn({ err: error }, 'audit.projection_retried'),
    onFatal: parts.fatal,
  });
  const stopping = new AbortController();
  const caughtUp = store.positions.whenReached(ends, stopping.signal);
  parts.health.addCheck(
    'audit-tree',
    catchUpCheck(caughtUp, () => undefined),
  );
  return {
    stop: async () => {
      stopping.abort();
      await projection.stop();
      await caughtUp;
      await pool.end();
    },
  };
}

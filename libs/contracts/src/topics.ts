import type { z } from 'zod';
import { ConfigState } from './configuration.js';
import { AuditEntry } from './events/audit.js';
import { DeliveryEvent } from './events/delivery.js';
import { HealthFact } from './events/health.js';
import { type AcceptedMessage, DueMeta, type DueDelivery, MessageMeta } from './message.js';

/** What the log stores of one record: a key, the value's bytes, and at most one `meta` header. */
export interface EncodedRecord {
  key: string;
  value: Buffer;
  meta?: string;
}

export type Cleanup = { policy: 'delete'; retentionMs: number } | { policy: 'compact' };

/**
 * A topic of the log. Producers and consumers pass this object, never a name: it holds how its records are keyed,
 * written and read, and how long they are kept.
 */
export interface Topic<T = unknown> {
  name: string;
  partitions: { production: number; single: number };
  cleanup: Cleanup;
  encode(item: T): EncodedRecord;
  /** Throws on a record that is not one of the topic's; the consumer puts it aside. */
  decode(record: { value: Buffer; meta?: string | undefined }): T;
}

const DAY_MS = 86_400_000;

function jsonTopic<T>(
  topic: Pick<Topic, 'name' | 'partitions' | 'cleanup'>,
  schema: z.ZodType<T>,
  key: (item: T) => string,
): Topic<T> {
  return {
    ...topic,
    encode: (item) => ({ key: key(item), value: Buffer.from(JSON.stringify(item)) }),
    decode: ({ value }) => schema.parse(JSON.parse(value.toString())),
  };
}

/** Facts in the `meta` header, payload bytes untouched in the value. */
function payloadTopic<M extends { account: string }>(
  topic: Pick<Topic, 'name' | 'partitions' | 'cleanup'>,
  schema: z.ZodType<M>,
): Topic<{ meta: M; payload: Buffer }> {
  return {
    ...topic,
    encode: ({ meta, payload }) => ({ key: meta.account, value: payload, meta: JSON.stringify(meta) }),
    decode: ({ value, meta }) => ({ meta: schema.parse(JSON.parse(meta ?? 'null')), payload: value }),
  };
}

/** Keyed by account id: one accepted message with its routes. */
export const messages: Topic<AcceptedMessage> = payloadTopic(
  {
    name: 'messages',
    partitions: { production: 48, single: 6 },
    cleanup: { policy: 'delete', retentionMs: 7 * DAY_MS },
  },
  MessageMeta,
);

/** Keyed by account id: what happened to deliveries. */
export const deliveries: Topic<DeliveryEvent> = jsonTopic(
  {
    name: 'deliveries',
    partitions: { production: 48, single: 6 },
    cleanup: { policy: 'delete', retentionMs: 30 * DAY_MS },
  },
  DeliveryEvent,
  (event) => event.account,
);

/** Keyed by account id: the attempts endpoints are judged by, a small part of `deliveries`. */
export const health: Topic<HealthFact> = jsonTopic(
  {
    name: 'health',
    partitions: { production: 48, single: 6 },
    cleanup: { policy: 'delete', retentionMs: 30 * DAY_MS },
  },
  HealthFact,
  (fact) => fact.account,
);

/** Keyed by account id: deliveries to attempt now, with their payloads. */
export const due: Topic<DueDelivery> = payloadTopic(
  {
    name: 'due',
    partitions: { production: 48, single: 6 },
    cleanup: { policy: 'delete', retentionMs: 2 * DAY_MS },
  },
  DueMeta,
);

/** Keyed by entity id, compacted: the current configuration. */
export const config: Topic<ConfigState> = jsonTopic(
  { name: 'config', partitions: { production: 12, single: 1 }, cleanup: { policy: 'compact' } },
  ConfigState,
  (state) => state.id,
);

/**
 * Keyed by tenant id: who changed what, for the audit tree. Kept for ten years: entries are few, and the tree can be
 * built again only from all of them.
 */
export const audit: Topic<AuditEntry> = jsonTopic(
  {
    name: 'audit',
    partitions: { production: 12, single: 1 },
    cleanup: { policy: 'delete', retentionMs: 3_653 * DAY_MS },
  },
  AuditEntry,
  (entry) => entry.tenant,
);

export const topics = { messages, deliveries, due, health, config, audit } as const;

import {
  type DeliveryDeferred,
  type DeliveryEvent,
  messagePosition,
  type ShadowAttempted,
  topics,
} from '@posthaste/contracts';
import { evolve, type DeliveryState, pendingDelivery } from '@posthaste/delivery';
import { PostgresProjection, type ProjectionBatch } from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { appendFeedItems } from '../feeds/sql/append-feed-items.js';
import { type DeliveryRow, routedRows, toRow, toState } from './delivery-row.js';
import { insertAttempts } from './sql/insert-attempts.js';
import { insertMessages, type MessageRow } from './sql/insert-messages.js';
import { insertPayloadKeys, type PayloadKeyRows, toPayloadKeyRows } from './sql/insert-payload-keys.js';
import { insertRequested } from './sql/insert-requested.js';
import { insertQuarantined, type Quarantined } from './sql/insert-quarantined.js';
import { insertShadowAttempts } from './sql/insert-shadow-attempts.js';
import { loadDeliveryStates } from './sql/load-delivery-states.js';
import { loadPositions } from './sql/load-positions.js';
import { upsertDeliveries } from './sql/upsert-deliveries.js';

/**
 * History: messages, deliveries, attempts and feeds as rows, written from the topics `messages` and `deliveries`.
 *
 * A batch is one transaction: positions, then at most one statement per table. It commits without waiting for the
 * disk, which the position makes safe: rows and position are lost together and read again. Either topic may be ahead
 * of the other for a delivery: its row begins with whichever fact comes first, and both carry what names it. Facts of
 * one delivery that share a batch, as nearly all first attempts do, are folded before its row is written.
 *
 * A record that cannot be decoded, or that PostgreSQL refuses, goes to `quarantine` and its partition moves on.
 */
export const HISTORY_GROUP = 'history';
export const historyTopics = [topics.messages, topics.deliveries];

/** Rows are seen this much later at most, so that history writes five times a second and not at every record. */
export const HISTORY_GATHER_MS = 200;

interface Facts {
  messages: MessageRow[];
  keys: PayloadKeyRows;
  /** What deliveries are folded from; the copies of attempts count for nothing. */
  events: DeliveryEvent[];
  shadows: ShadowAttempted[];
  quarantined: Quarantined[];
}

/** `deferrals`: those that were news, to be counted. */
type Folded = { deliveries: DeliveryRow[]; deferrals: DeliveryDeferred[] };
type HistoryRows = Facts & Folded;

export interface HistoryOptions {
  /** Whether what is written now can be searched by an index of payloads. */
  payloadIndex?: boolean;
}

export function historyProjection(
  pool: pg.Pool,
  onQuarantined: (found: Quarantined) => void,
  { payloadIndex = true }: HistoryOptions = {},
): PostgresProjection<HistoryRows> {
  const putAside = async (client: pg.PoolClient, found: Quarantined[]): Promise<() => void> => {
    await insertQuarantined(client, found);
    return () => found.forEach(onQuarantined);
  };
  return new PostgresProjection({
    schema: 'history',
    pool,
    inTransaction: (work) => inTransaction(pool, work),
    read: async (batches) => {
      const facts = readFacts(batches, payloadIndex);
      return { ...facts, ...(await foldDeliveries(pool, facts)) };
    },
    write: async (client, { messages, keys, events, shadows, deliveries, deferrals, quarantined }) => {
      if (messages.length > 0) await insertMessages(client, messages);
      await insertPayloadKeys(client, keys);
      await appendFeedItems(client, messages);
      if (deliveries.length > 0) await upsertDeliveries(client, deliveries);
      const attempts = events.filter((event) => event.type === 'DeliveryAttempted');
      if (attempts.length + deferrals.length > 0) await insertAttempts(client, attempts, deferrals);
      const requests = events.filter((event) => event.type === 'DeliveryRequested');
      if (requests.length > 0) await insertRequested(client, requests);
      if (shadows.length > 0) await insertShadowAttempts(client, shadows);
      return putAside(client, quarantined);
    },
    putAside: (client, refused) => putAside(client, [refused]),
  });
}

function readFacts(batches: ProjectionBatch[], payloadIndex: boolean): Facts {
  const facts: Omit<Facts, 'keys'> = { messages: [], events: [], shadows: [], quarantined: [] };
  for (const { topic, partition, records } of batches) {
    for (const record of records) {
      try {
        if (topic === topics.messages.name) {
          const position = messagePosition(partition, record.offset);
          facts.messages.push({ ...topics.messages.decode(record), metaJson: record.meta ?? '', position });
        } else {
          const event = topics.deliveries.decode(record);
          if (event.type === 'ShadowAttempted') facts.shadows.push(event);
          else facts.events.push(event);
        }
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        facts.quarantined.push({ topic, partition, record, reason });
      }
    }
  }
  return { ...facts, keys: toPayloadKeyRows(facts.messages, payloadIndex, Date.now()) };
}

/** The rows of all deliveries the batch touches, each folded once from what is stored. */
async function foldDeliveries(pool: pg.Pool, { messages, events }: Facts): Promise<Folded> {
  const rows = new Map<string, DeliveryRow>();
  for (const message of messages) {
    // Of a message that is in the log twice the first record counts.
    for (const row of routedRows(message)) if (!rows.has(row.id)) rows.set(row.id, row);
  }
  if (events.length === 0) return { deliveries: [...rows.values()], deferrals: [] };
  const stored = await loadDeliveryStates(pool, [...new Set(events.map((event) => event.delivery))]);
  const states = new Map<string, DeliveryState>(stored.map((row) => [row.id, toState(row)]));
  const unrouted: DeliveryRow[] = [];
  const deferrals: DeliveryDeferred[] = [];
  for (const event of events) {
    const before = states.get(event.delivery);
    const after = evolve(before ?? pendingDelivery, event);
    if (after === before) continue;
    if (event.type === 'DeliveryDeferred' && !isToldAgain(event, before)) deferrals.push(event);
    states.set(event.delivery, after);
    const row = toRow(event, after, rows.get(event.delivery));
    if (before === undefined && isReplay(event)) unrouted.push(row);
    rows.set(event.delivery, row);
  }
  if (unrouted.length > 0) await placeByMessage(pool, rows, unrouted);
  return { deliveries: [...rows.values()], deferrals };
}

function isToldAgain({ until }: DeliveryDeferred, before: DeliveryState | undefined): boolean {
  return before?.status === 'deferred' && before.nextAttemptAt === until;
}

/** What is sent of itself has a record that routes it, which brings the position. */
function isReplay({ trigger }: DeliveryEvent): boolean {
  return trigger !== 'publish' && trigger !== 'retry';
}

/** Deliveries of messages from before, to endpoints they were not routed to: they stand where their messages do. */
async function placeByMessage(
  pool: pg.Pool,
  rows: Map<string, DeliveryRow>,
  unrouted: DeliveryRow[],
): Promise<void> {
  const positions = await loadPositions(pool, [...new Set(unrouted.map(({ message }) => message))]);
  for (const { id, message } of unrouted) {
    const row = rows.get(id);
    if (row) row.position ??= positions.get(message) ?? null;
  }
}

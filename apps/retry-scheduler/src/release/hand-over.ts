import {
  type DueDelivery,
  type DueDeliveryPayload,
  type DueMeta,
  isRequested,
  lowestId,
  MessageMeta,
  topics,
  type Trigger,
} from '@posthaste/contracts';
import { isSettledStatus } from '@posthaste/delivery';
import type { LogProducer, OutgoingRecord } from '@posthaste/event-log';
import type pg from 'pg';
import type { OwedAttempt } from '../due-index/owed-attempt.js';
import { keysOf } from '../due-index/due-index.projection.js';
import { letFirstGo } from '../ordering/sql/let-first-go.js';
import { loadPlaces } from '../ordering/sql/load-places.js';
import { markReleased } from '../ordering/sql/mark-released.js';
import { deleteOwed } from '../due-index/sql/delete-owed.js';
import { postponeDue } from './sql/postpone-due.js';

/** What a release needs of history: payloads and the latest status, unknown deliveries left out. */
export type DuePayloads = (deliveries: string[]) => Promise<DueDeliveryPayload[]>;

export interface HandOverParts {
  /** The least version of an endpoint's configuration a dispatcher must know to attempt a delivery; 0: any will do. */
  versionOf: (endpoint: string) => number;
  producer: Pick<LogProducer, 'append'>;
  payloads: DuePayloads;
}

/** What became of claimed attempts: the ids of their deliveries. */
export interface HandedOver {
  released: string[];
  /** Not owed any more: settled, or attempted already. */
  dropped: string[];
  /** Not in history yet. Left as they are: the caller knows when they may be asked for again. */
  early: string[];
  /** One before them in their key has not gone. Left as they are, too. */
  outOfTurn: string[];
  /** Not in history, or not in a form we can read, for long: they wait for a time again. */
  missing: string[];
}

/** With the largest payloads a batch is 25 MB. */
export const BATCH_ROWS = 100;
/** History is seldom a second behind. What it still lacks after a minute may never come: asked for less often, and reported. */
const MISSING_AFTER_MS = 60_000;
const MISSING_POSTPONED_MS = 15_000;

/**
 * Hands claimed attempts to the dispatchers: ask history -> append to `due` -> delete; the caller commits. Those of an
 * ordering key are appended in order, and marked instead of deleted.
 *
 * The rows are deleted only after the log has acknowledged their records. Whatever fails before the commit leaves
 * them as they were, so an attempt may be released twice and is never lost; the dispatcher drops the repeat.
 */
export async function handOver(
  client: pg.PoolClient,
  rows: OwedAttempt[],
  parts: HandOverParts,
): Promise<HandedOver> {
  const found = await parts.payloads(rows.map((row) => row.delivery));
  const { due: known, gone, unknown } = sortOut(rows, found, parts.versionOf);
  const inOrder = rows.filter((row) => row.ordering !== null);
  const due = inOrder.length > 0 ? await inTheirOrder(client, known, inOrder, new Set(gone)) : known;
  if (due.length > 0) await parts.producer.append(due.map(toRecord));
  const released = due.map(({ row }) => row.delivery);
  const over = [...gone, ...due.filter(({ row }) => row.ordering === null).map(({ row }) => row.delivery)];
  if (over.length > 0) await deleteOwed(client, over);
  if (inOrder.length > 0) await keepInOrder(client, inOrder, released, gone);
  // An id begins with its message's time.
  const longAgo = lowestId('delivery', Date.now() - MISSING_AFTER_MS);
  const missing = unknown.filter((delivery) => delivery < longAgo);
  if (missing.length > 0) await postponeDue(client, missing, MISSING_POSTPONED_MS);
  const early = unknown.filter((delivery) => delivery >= longAgo);
  const outOfTurn = known.filter((one) => !due.includes(one)).map(({ row }) => row.delivery);
  return { released, dropped: gone, early, outOfTurn, missing };
}

interface Due extends DueDelivery {
  row: OwedAttempt;
}

/**
 * By position, with what a dispatcher must know of their keys, and without those that one before them has been left out
 * of: another replica holds it, or history does not know it. A dispatcher that has just begun knows of a key only its
 * first and its last, and would send what comes before the one left out arrives.
 */
async function inTheirOrder(
  client: pg.PoolClient,
  due: Due[],
  inOrder: OwedAttempt[],
  gone: Set<string>,
): Promise<Due[]> {
  const places = new Map(
    (
      await loadPlaces(
        client,
        inOrder.map((row) => row.delivery),
      )
    ).map((place) => [place.delivery, place]),
  );
  const passed = new Set(gone);
  const positionOf = ({ row }: Due): number => row.ordering?.position ?? 0;
  return due
    .toSorted((a, b) => positionOf(a) - positionOf(b))
    .filter(({ row, meta }) => {
      const place = places.get(row.delivery);
      if (!row.ordering || !place) return true;
      if (!place.before.every((delivery) => passed.has(delivery))) return false;
      passed.add(row.delivery);
      // Of one that follows another on its way nothing is known to be settled before it.
      meta.ordering = { position: row.ordering.position, asOf: place.isFirst ? place.asOf : 0 };
      return true;
    });
}

/** What is handed over stays in the index, for those behind it; what is gone makes room for the next. */
async function keepInOrder(
  client: pg.PoolClient,
  inOrder: OwedAttempt[],
  released: string[],
  gone: string[],
): Promise<void> {
  const [handed, over] = [new Set(released), new Set(gone)];
  const waiting = inOrder.filter((row) => handed.has(row.delivery)).map((row) => row.delivery);
  if (waiting.length > 0) await markReleased(client, waiting);
  const freed = keysOf(inOrder.filter((row) => over.has(row.delivery)));
  if (freed.length > 0) await letFirstGo(client, freed);
}

/** A resend is sent whatever came of its delivery; the other requests are for what the receiver does not have. */
function isOver(status: string, trigger: Trigger): boolean {
  return isRequested(trigger) ? status === 'delivered' && trigger !== 'resend' : isSettledStatus(status);
}

function sortOut(
  rows: OwedAttempt[],
  found: DueDeliveryPayload[],
  versionOf: HandOverParts['versionOf'],
): { due: Due[]; gone: string[]; unknown: string[] } {
  const known = new Map(found.map((entry) => [entry.id, entry]));
  const due: Due[] = [];
  const gone: string[] = [];
  const unknown: string[] = [];
  for (const row of rows) {
    const entry = known.get(row.delivery);
    if (!entry) unknown.push(row.delivery);
    else if (isOver(entry.status, row.trigger) || (entry.attempts ?? 0) >= row.attempt)
      gone.push(row.delivery);
    else {
      const delivery = toDue(row, entry, versionOf(row.endpoint));
      if (delivery) due.push(delivery);
      else unknown.push(row.delivery);
    }
  }
  return { due, gone, unknown };
}

/** Undefined when the message's facts cannot be read: one such delivery must not hold up all the others. */
function toDue(row: OwedAttempt, entry: DueDeliveryPayload, version: number): Due | undefined {
  const { data: message } = MessageMeta.safeParse(readJson(entry.message_meta_json));
  if (!message) return undefined;
  const meta: DueMeta = {
    ...message,
    routes: [{ endpoint: row.endpoint, version }],
    attempt: row.attempt,
    trigger: row.trigger,
    ...(entry.position === undefined ? {} : { position: entry.position }),
  };
  // An empty payload is an absent field to gRPC.
  const payload = (entry.payload as Buffer | undefined) ?? Buffer.alloc(0);
  return { meta, payload, row };
}

function toRecord({ meta, payload }: Due): OutgoingRecord {
  return { topic: topics.due, ...topics.due.encode({ meta, payload }) };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import { type DueDeliveryPayload, lowestId, MessageMeta, topics } from '@posthaste/contracts';
import type { LogProducer, OutgoingRecord } from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import type { OwedAttempt } from '../due-index/owed-attempt.js';
import { deleteOwed } from '../due-index/sql/delete-owed.js';
import type { EndpointShare } from './endpoint-share.js';
import { claimDue } from './sql/claim-due.js';
import { postponeDue } from './sql/postpone-due.js';

/** What a release needs of history: payloads and the latest status, unknown deliveries left out. */
export type DuePayloads = (deliveries: string[]) => Promise<DueDeliveryPayload[]>;

export interface ReleaseParts {
  pool: pg.Pool;
  producer: Pick<LogProducer, 'append'>;
  payloads: DuePayloads;
  share: EndpointShare;
}

export interface ReleaseOutcome {
  released: number;
  /** Not owed any more: settled, or attempted already. */
  dropped: number;
  /** Not in history. */
  postponed: number;
  /** Of the postponed ones those that history should have had, in a form we can read, for long. */
  missing: string[];
  /** True when there may be more that is due now. */
  more: boolean;
}

/** With the largest payloads a batch is 25 MB. */
const BATCH_ROWS = 100;
const UNKNOWN_POSTPONED_MS = 1_000;
/** History is seldom a second behind. What it still lacks then may never come: asked for less often, and reported. */
const MISSING_AFTER_MS = 60_000;
const MISSING_POSTPONED_MS = 15_000;
const SETTLED = new Set(['delivered', 'exhausted', 'cancelled']);

/**
 * Hands one batch of due attempts to the dispatchers: claim -> ask history -> append to `due` -> delete -> commit.
 *
 * The rows are deleted only after the log has acknowledged their records. Whatever fails before the commit leaves
 * them as they were, so an attempt may be released twice and is never lost; the dispatcher drops the repeat.
 */
export async function releaseBatch(parts: ReleaseParts): Promise<ReleaseOutcome> {
  let outcome: ReleaseOutcome = { released: 0, dropped: 0, postponed: 0, missing: [], more: false };
  await inTransaction(parts.pool, async (client) => {
    const nowMs = performance.now();
    const claimed = await claimDue(client, BATCH_ROWS, parts.share.exhausted(nowMs));
    if (claimed.length === 0) return;
    const admitted = claimed.filter((row) => parts.share.take(row.endpoint, nowMs));
    const found = await parts.payloads(admitted.map((row) => row.delivery));
    const { due, gone, unknown } = sortOut(admitted, found);
    if (due.length > 0) await parts.producer.append(due);
    const done = [...gone, ...due.map((record) => record.delivery)];
    if (done.length > 0) await deleteOwed(client, done);
    // An id begins with its message's time.
    const longAgo = lowestId('delivery', Date.now() - MISSING_AFTER_MS);
    const missing = unknown.filter((delivery) => delivery < longAgo);
    const late = unknown.filter((delivery) => delivery >= longAgo);
    if (late.length > 0) await postponeDue(client, late, UNKNOWN_POSTPONED_MS);
    if (missing.length > 0) await postponeDue(client, missing, MISSING_POSTPONED_MS);
    outcome = {
      released: due.length,
      dropped: gone.length,
      postponed: unknown.length,
      missing,
      more: claimed.length === BATCH_ROWS,
    };
  });
  return outcome;
}

type DueRecord = OutgoingRecord & { delivery: string };

function sortOut(
  rows: OwedAttempt[],
  found: DueDeliveryPayload[],
): { due: DueRecord[]; gone: string[]; unknown: string[] } {
  const known = new Map(found.map((entry) => [entry.id, entry]));
  const due: DueRecord[] = [];
  const gone: string[] = [];
  const unknown: string[] = [];
  for (const row of rows) {
    const entry = known.get(row.delivery);
    if (!entry) unknown.push(row.delivery);
    else if (SETTLED.has(entry.status) || (entry.attempts ?? 0) >= row.attempt) gone.push(row.delivery);
    else {
      const record = toRecord(row, entry);
      if (record) due.push(record);
      else unknown.push(row.delivery);
    }
  }
  return { due, gone, unknown };
}

/** Undefined when the message's facts cannot be read: one such delivery must not hold up all the others. */
function toRecord(row: OwedAttempt, entry: DueDeliveryPayload): DueRecord | undefined {
  const { data: message } = MessageMeta.safeParse(readJson(entry.message_meta_json));
  if (!message) return undefined;
  const meta = {
    ...message,
    // Version 0: whatever the endpoint's configuration is when the attempt is made.
    routes: [{ endpoint: row.endpoint, version: 0 }],
    attempt: row.attempt,
    trigger: row.trigger,
  };
  // An empty payload is an absent field to gRPC.
  const payload = (entry.payload as Buffer | undefined) ?? Buffer.alloc(0);
  return { topic: topics.due, ...topics.due.encode({ meta, payload }), delivery: row.delivery };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import { type DeliveryAttempted, newId } from '@posthaste/contracts';
import { spentUs } from '@posthaste/test-kit';
import type pg from 'pg';
import { toRow } from '../history/delivery-row.js';
import { attempted, sampleMessage } from '../history/sample-facts.js';
import { insertAttempts } from '../history/sql/insert-attempts.js';
import { insertMessages, type MessageRow } from '../history/sql/insert-messages.js';
import {
  insertPayloadKeys,
  type PayloadKeyRows,
  toPayloadKeyRows,
} from '../history/sql/insert-payload-keys.js';
import { upsertDeliveries } from '../history/sql/upsert-deliveries.js';

const BATCHES = 40;
const BATCH_ROWS = 250;
const ROUNDS = 3;
/** To one endpoint, and to so many that attempts hardly share a minute and bucket. */
const SPREADS = [1, 100];
const NEW_INDEXES = ['attempt_by_account', 'attempt_by_endpoint', 'delivery_by_endpoint'];

/**
 * What the projection pays for the lists and the minutes: the statements that write attempts and deliveries, as they are,
 * without the counting, and without the indexes either: processor time of the server, so that what else runs on the
 * machine does not count. All in transactions that are rolled back.
 */
export async function projectionFigures(pool: pg.Pool): Promise<string[]> {
  const variants = [
    { name: 'as it is', drop: [], isCounting: true },
    { name: 'without counting minutes', drop: [], isCounting: false },
    { name: 'without counting and without the new indexes', drop: NEW_INDEXES, isCounting: false },
  ];
  const rows: string[] = [];
  for (const variant of variants) {
    const best: string[] = [];
    for (const spread of SPREADS) {
      const times: number[] = [];
      for (let round = 0; round < ROUNDS; round++) times.push(await timed(pool, variant, spread));
      best.push(Math.min(...times).toFixed(0));
    }
    rows.push(`| ${variant.name} | ${best.join(' | ')} |`);
  }
  return [
    '## What the projection pays',
    '',
    `Writing ${BATCHES * BATCH_ROWS} attempts and deliveries, ${BATCH_ROWS} a batch; the best of ${ROUNDS}, in µs of the server's processor a delivery.`,
    '',
    `| the statements | ${SPREADS.map((spread) => `to ${spread} endpoints`).join(' | ')} |`,
    `| --- |${' --- |'.repeat(SPREADS.length)}`,
    ...rows,
    '',
    ...(await messageFigures(pool)),
  ];
}

/** With its entries in their places at the end, as somebody has to put them there. */
const SETTLE = `select gin_clean_pending_list(indexrelid) from pg_index
  where indexrelid in (select inhrelid from pg_inherits where inhparent = 'history.payload_key_buckets'::regclass)`;

async function messageFigures(pool: pg.Pool): Promise<string[]> {
  const batches = Array.from({ length: BATCHES }, someMessages);
  const bytes = batches.flat().reduce((sum, { payload }) => sum + payload.length, 0) / (BATCHES * BATCH_ROWS);
  const best: Record<'off' | 'on' | 'hashing', number> = { off: Infinity, on: Infinity, hashing: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.threadCpuUsage();
    const keys = batches.map((rows) => toPayloadKeyRows(rows, true, Date.now()));
    const { user, system } = process.threadCpuUsage(before);
    best.hashing = Math.min(best.hashing, (user + system) / (BATCHES * BATCH_ROWS));
    best.off = Math.min(best.off, await messagesTimed(pool, batches, []));
    best.on = Math.min(best.on, await messagesTimed(pool, batches, keys));
  }
  return [
    `Writing ${BATCHES * BATCH_ROWS} messages with payloads of ${bytes.toFixed(0)} bytes and 20 values, all different, likewise:`,
    '',
    '| | µs |',
    '| --- | --- |',
    `| without the index of payloads (\`HISTORY_PAYLOAD_INDEX=off\`) | ${best.off.toFixed(0)} |`,
    `| with it | ${best.on.toFixed(0)} |`,
    `| and its keys, of audit-log's processor | ${best.hashing.toFixed(0)} |`,
  ];
}

async function messagesTimed(
  pool: pg.Pool,
  batches: MessageRow[][],
  keys: PayloadKeyRows[],
): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const before = await spentUs(client);
    for (const [i, rows] of batches.entries()) {
      await insertMessages(client, rows);
      const ofThem = keys[i];
      if (ofThem) await insertPayloadKeys(client, ofThem);
    }
    if (keys.length > 0) await client.query(SETTLE);
    return ((await spentUs(client)) - before) / (BATCHES * BATCH_ROWS);
  } finally {
    await client.query('rollback');
    client.release();
  }
}

function someMessages(): MessageRow[] {
  return Array.from({ length: BATCH_ROWS }, (_, i) => {
    const { meta } = sampleMessage({ tenant, account, endpoint: endpoints[0] ?? '', at: Date.now() });
    const values = Array.from({ length: 20 }, (_, n) => [
      `field_${n}`,
      `${meta.id.slice(-n - 1)} of ${i} ${n}, and some more`,
    ]);
    const payload = Buffer.from(JSON.stringify(Object.fromEntries(values)));
    return { meta, payload, metaJson: JSON.stringify(meta), position: meta.id };
  });
}

async function timed(
  pool: pg.Pool,
  { drop, isCounting }: { drop: string[]; isCounting: boolean },
  spread: number,
): Promise<number> {
  const batches = Array.from({ length: BATCHES }, () => someAttempts(spread));
  const client = await pool.connect();
  try {
    await client.query('begin');
    for (const index of drop) await client.query(`drop index history.${index}`);
    const writer = isCounting ? client : withoutCounting(client);
    const before = await spentUs(client);
    for (const events of batches) {
      await insertAttempts(writer, events, []);
      await upsertDeliveries(
        client,
        events.map((event) =>
          toRow(
            event,
            { status: 'delivered', attempts: 1, settledAt: event.startedAt, last: null },
            undefined,
          ),
        ),
      );
    }
    return ((await spentUs(client)) - before) / (BATCHES * BATCH_ROWS);
  } finally {
    await client.query('rollback');
    client.release();
  }
}

const at = Date.now();
const endpoints = Array.from({ length: 100 }, () => newId('endpoint', at));
const [tenant, account] = [newId('tenant', at), newId('account', at)];

function someAttempts(spread: number): DeliveryAttempted[] {
  return Array.from({ length: BATCH_ROWS }, (_, i) => {
    const endpoint = endpoints[i % spread] ?? '';
    const report = attempted(sampleMessage({ tenant, account, endpoint, at }), 1, { kind: 'delivered' });
    return { ...report, timings: { ...report.timings, totalMs: 5 + (i % 40) } };
  });
}

/** Sends the statement without what follows the rows it writes. */
function withoutCounting(client: pg.PoolClient): pg.PoolClient {
  const query = (config: pg.QueryConfig): Promise<unknown> => {
    const [written = ''] = config.text.split(', fact as (');
    return client.query({
      name: 'uncounted',
      text: `${written} select from written limit 0`,
      values: config.values?.slice(0, 24) ?? [],
    });
  };
  return { query } as unknown as pg.PoolClient;
}

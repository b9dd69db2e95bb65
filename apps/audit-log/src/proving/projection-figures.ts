import { type DeliveryAttempted, newId } from '@posthaste/contracts';
import type pg from 'pg';
import { toRow } from '../history/delivery-row.js';
import { attempted, sampleMessage } from '../history/sample-facts.js';
import { insertAttempts } from '../history/sql/insert-attempts.js';
import { insertMessages, type MessageRow } from '../history/sql/insert-messages.js';
import { upsertDeliveries } from '../history/sql/upsert-deliveries.js';
import { spentUs } from './server-time.js';

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
    `Writing ${BATCHES * BATCH_ROWS} messages of 1 KB with 20 values each, likewise:`,
    '',
    '| the statement | µs |',
    '| --- | --- |',
    `| as it is | ${(await messagesTimed(pool, false)).toFixed(0)} |`,
    `| with a GIN index on the payloads of the last day, which there is not | ${(await messagesTimed(pool, true)).toFixed(0)} |`,
  ];
}

/** The index holds rows from now on only, so that it is made at once. */
const PAYLOAD_INDEX = `create index on history.message using gin (history.payload_json(payload) jsonb_path_ops)
  where accepted_at >= ${Date.now()}`;

async function messagesTimed(pool: pg.Pool, isIndexed: boolean): Promise<number> {
  const batches = Array.from({ length: BATCHES }, someMessages);
  const client = await pool.connect();
  try {
    await client.query('begin');
    if (isIndexed) await client.query(PAYLOAD_INDEX);
    const before = await spentUs(client);
    for (const rows of batches) await insertMessages(client, rows);
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
      `${meta.id.slice(-n - 1)} of ${i} ${n}`,
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

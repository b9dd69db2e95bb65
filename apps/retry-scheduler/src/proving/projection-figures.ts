import { type DeliveryEvent, topics } from '@posthaste/contracts';
import { spentUs } from '@posthaste/test-kit';
import type pg from 'pg';
import { dueIndexProjection } from '../due-index/index.js';
import { attempted, deferred, deliveryOf, endpointOf, sampleMessage } from '../sample-facts.js';
import { type FilledDueIndex, someOwed } from './filled-due-index.js';

const BATCHES = 20;
const BATCH_RECORDS = 250;
const RECORDS = BATCHES * BATCH_RECORDS;
const AT = { topic: topics.deliveries.name, partition: 0 };
const HOUR_MS = 3_600_000;

type Placed = Pick<DeliveryEvent, 'delivery' | 'message' | 'endpoint'>;

interface Kind {
  name: string;
  /** What it is about; by default deliveries nobody has heard of yet. */
  about?: string;
  eventOf: (placed: Placed, i: number) => DeliveryEvent;
}

const sample = sampleMessage();
const retry = (): { kind: 'retry'; at: number } => ({ kind: 'retry', at: Date.now() + HOUR_MS });

const KINDS: Kind[] = [
  {
    name: 'delivered, nothing was owed',
    eventOf: (placed) => ({ ...attempted(sample, 1, { kind: 'delivered' }), ...placed }),
  },
  { name: 'failed, a retry is owed', eventOf: (placed) => ({ ...attempted(sample, 1, retry()), ...placed }) },
  {
    name: 'put off, to be parked',
    eventOf: (placed) => ({ ...deferred(sample, 1, Date.now() + HOUR_MS, 'lane_full'), ...placed }),
  },
  {
    name: 'put off behind others of its key, ten of each',
    eventOf: (placed, i) => ({
      ...deferred(sample, 1, Date.now() + HOUR_MS, 'behind_key'),
      ...placed,
      endpoint: endpointOf(sample),
      ordering: { key: `key-${Math.floor(i / 10)}`, position: i },
    }),
  },
  {
    name: 'failed again, it was owed already',
    about: 'not parked and not held and ordering_key is null',
    eventOf: (placed) => ({ ...attempted(sample, 2, retry()), ...placed }),
  },
  {
    name: 'delivered, it was owed',
    about: 'parked',
    eventOf: (placed) => ({ ...attempted(sample, 2, { kind: 'delivered' }), ...placed }),
  },
];

/**
 * What the projection pays: batches of real records of one kind, twice: when the pages they touch were written before
 * since the last checkpoint, and when they were not, and PostgreSQL writes each whole into its log.
 */
export async function projectionFigures(pool: pg.Pool, { endpoints }: FilledDueIndex): Promise<string[]> {
  const rows: string[] = [];
  for (const kind of KINDS) {
    const about = kind.about
      ? await someOwed(pool, kind.about, 2 * RECORDS)
      : Array.from({ length: 2 * RECORDS }, (_, i) => newDelivery(endpoints[i % endpoints.length] ?? ''));
    await setFullPages(pool, 'off');
    const usual = await applied(pool, kind, about.slice(0, RECORDS));
    await setFullPages(pool, 'on');
    const fresh = await applied(pool, kind, about.slice(RECORDS));
    console.error(`${kind.name}: ${usual.perSecond} a second`);
    rows.push(
      `| ${kind.name} | ${usual.perSecond} | ${usual.serverUs} | ${usual.walBytes} | ${fresh.walBytes} |`,
    );
  }
  return [
    '## What the projection pays',
    '',
    `${RECORDS} records of a kind, ${BATCH_RECORDS} a batch; "server" is µs of PostgreSQL's processor a record, and the bytes are those of`,
    'its write-ahead log a record: by themselves, and behind a checkpoint, when each page goes there whole once.',
    '',
    '| records | a second | server | bytes | behind a checkpoint |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ];
}

function newDelivery(endpoint: string): Placed {
  const message = sampleMessage(endpoint, Date.now());
  return { delivery: deliveryOf(message), message: message.meta.id, endpoint };
}

/** Whether PostgreSQL writes the whole of each page into its log that it changes for the first time since now. */
export async function setFullPages(pool: pg.Pool, value: 'on' | 'off'): Promise<void> {
  await pool.query(`alter system set full_page_writes = ${value}`);
  await pool.query('select pg_reload_conf()');
  await pool.query('checkpoint');
}

async function applied(
  pool: pg.Pool,
  { eventOf }: Kind,
  about: Placed[],
): Promise<{ perSecond: number; serverUs: number; walBytes: number }> {
  const projection = dueIndexProjection(pool, {
    onEvent: () => undefined,
    onOwed: () => undefined,
    onParked: () => undefined,
    onUnreadable: (_, reason) => {
      throw new Error(reason);
    },
  });
  const [position] = await projection.loadPositions([AT]);
  let from = position?.offset ?? 0;
  const records = about.map((placed, i) => topics.deliveries.encode(eventOf(placed, from + i)));
  const before = { us: await spentUs(pool), wal: await walBytes(pool), ms: performance.now() };
  for (let i = 0; i < records.length; i += BATCH_RECORDS) {
    const stored = records
      .slice(i, i + BATCH_RECORDS)
      .map((record, n) => ({ ...record, offset: from + n, appendedAt: Date.now() }));
    const next = from + stored.length;
    const outcome = await projection.apply([{ ...AT, from, records: stored, next }]);
    if (outcome !== 'applied') throw new Error(outcome);
    from = next;
  }
  const seconds = (performance.now() - before.ms) / 1_000;
  const of = (total: number): number => Math.round(total / about.length);
  return {
    perSecond: Math.round(about.length / seconds),
    serverUs: of((await spentUs(pool)) - before.us),
    walBytes: of((await walBytes(pool)) - before.wal),
  };
}

/** Of the pool's only connection, vacuum's left out. */
async function walBytes(pool: pg.Pool): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows } = await pool.query<{ bytes: string }>(
    'select wal_bytes as bytes from pg_stat_get_backend_wal(pg_backend_pid())',
  );
  return Number(rows[0]?.bytes);
}

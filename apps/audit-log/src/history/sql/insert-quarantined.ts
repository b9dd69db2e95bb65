import type { StoredRecord } from '@posthaste/event-log';
import type pg from 'pg';

export interface Quarantined {
  topic: string;
  partition: number;
  record: StoredRecord;
  reason: string;
}

const KEPT_BYTES = 16 * 1024;
const KEPT_CHARS = 2_000;

/** Quarantined records are rare: one statement each. Text is cut, and freed of NUL, which PostgreSQL cannot hold. */
export async function insertQuarantined(client: pg.PoolClient, found: Quarantined[]): Promise<void> {
  for (const { topic, partition, record, reason } of found) {
    await client.query(
      `insert into history.quarantine (topic, partition, record_offset, reason, meta, value)
       values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
      [
        topic,
        partition,
        record.offset,
        plainText(reason),
        record.meta === undefined ? null : plainText(record.meta),
        record.value.subarray(0, KEPT_BYTES),
      ],
    );
  }
}

function plainText(text: string): string {
  return text.replaceAll('\0', '').slice(0, KEPT_CHARS);
}

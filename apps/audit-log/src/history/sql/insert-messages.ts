import type { AcceptedMessage } from '@posthaste/contracts';
import { byteaArray, int8Array, textArray } from '@posthaste/pg-arrays';
import type pg from 'pg';

export interface MessageRow extends AcceptedMessage {
  /** The meta header, byte for byte. */
  metaJson: string;
  /** Where its record lies. */
  position: string;
}

/** A statement carries at most about this much payload, to bound what both sides hold in memory. */
const STATEMENT_BYTES = 16 * 1024 * 1024;

/** A message accepted with very many routes is several records with one id: the first is its row. */
export async function insertMessages(client: pg.PoolClient, rows: MessageRow[]): Promise<void> {
  let chunk: MessageRow[] = [];
  let chunkBytes = 0;
  for (const row of rows) {
    chunk.push(row);
    chunkBytes += row.payload.length;
    if (chunkBytes < STATEMENT_BYTES) continue;
    await insertChunk(client, chunk);
    chunk = [];
    chunkBytes = 0;
  }
  if (chunk.length > 0) await insertChunk(client, chunk);
}

async function insertChunk(client: pg.PoolClient, rows: MessageRow[]): Promise<void> {
  await client.query({
    name: 'insert-messages',
    text: `insert into history.message (accepted_at, id, tenant, account, event_type, meta, payload, position)
           select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[],
             $8::text[])
           on conflict do nothing`,
    values: [
      int8Array(rows.map(({ meta }) => meta.at)),
      textArray(rows.map(({ meta }) => meta.id)),
      textArray(rows.map(({ meta }) => meta.tenant)),
      textArray(rows.map(({ meta }) => meta.account)),
      textArray(rows.map(({ meta }) => meta.type)),
      textArray(rows.map(({ metaJson }) => metaJson)),
      byteaArray(rows.map(({ payload }) => payload)),
      textArray(rows.map(({ position }) => position)),
    ],
  });
}

import type { AcceptedMessage } from '@posthaste/contracts';
import type pg from 'pg';
import { packBytes } from './packed-bytes.js';

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
  const payloads = packBytes(rows.map((row) => row.payload));
  await client.query({
    name: 'insert-messages',
    text: `insert into history.message (accepted_at, id, tenant, account, event_type, meta, payload, position)
           select m.accepted_at, m.id, m.tenant, m.account, m.event_type, m.meta, substr($7::bytea, m.start, m.bytes),
             m.position
           from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $8::int[], $9::int[],
             $10::text[]) as m (accepted_at, id, tenant, account, event_type, meta, start, bytes, position)
           on conflict do nothing`,
    values: [
      rows.map(({ meta }) => meta.at),
      rows.map(({ meta }) => meta.id),
      rows.map(({ meta }) => meta.tenant),
      rows.map(({ meta }) => meta.account),
      rows.map(({ meta }) => meta.type),
      rows.map(({ metaJson }) => metaJson),
      payloads.blob,
      payloads.starts,
      payloads.bytes,
      rows.map(({ position }) => position),
    ],
  });
}

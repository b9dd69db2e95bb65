import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';

/** What the product has made its stores write, in bytes. */
export interface WrittenBytes {
  /** PostgreSQL's write-ahead log, with the full pages that follow a checkpoint. */
  postgresWal: number;
  /** Kafka's segments; their indexes are laid out ahead and say nothing. */
  kafkaLog: number;
}

/** Where the server would insert next: what is not yet written down counts too. */
export async function walBytes(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ bytes: number }>(
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes`,
    );
    return rows[0]?.bytes ?? NaN;
  } finally {
    await client.end();
  }
}

export function kafkaBytes(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.log')) continue;
    bytes += statSync(path.join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

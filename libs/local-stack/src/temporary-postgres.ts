import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './embedded-postgres.js';

/** A PostgreSQL in a folder of its own, named after what it is for, that is gone once it is stopped. */
export async function startTemporaryPostgres(
  name: string,
  settings: EmbeddedPostgresOptions['settings'] = {},
): Promise<EmbeddedPostgres> {
  const folder = mkdtempSync(path.join(os.tmpdir(), `posthaste-${name}-`));
  // The server may run as another user than we do.
  chmodSync(folder, 0o755);
  const server = await startEmbeddedPostgres({ dataDir: path.join(folder, 'data'), settings });
  const stop = server.stop.bind(server);
  server.stop = async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return server;
}

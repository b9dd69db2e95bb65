import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './embedded-postgres.js';

/** May be stopped and started again like any other; its data is for one test or measurement. */
export interface TemporaryPostgres extends EmbeddedPostgres {
  /** Stops it and deletes its data. */
  remove(): Promise<void>;
}

/** A PostgreSQL in a folder of its own, named after what it is for. */
export async function startTemporaryPostgres(
  name: string,
  settings: EmbeddedPostgresOptions['settings'] = {},
): Promise<TemporaryPostgres> {
  const folder = mkdtempSync(path.join(os.tmpdir(), `posthaste-${name}-`));
  // The server may run as another user than we do.
  chmodSync(folder, 0o755);
  const server = await startEmbeddedPostgres({ dataDir: path.join(folder, 'data'), settings });
  return Object.assign(server, {
    remove: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  });
}

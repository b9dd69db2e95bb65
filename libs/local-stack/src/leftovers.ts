import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * The processes of a data folder, written down so that a start after a kill -9 of the supervisor can end what is
 * left of the run before. They notice by themselves that their supervisor is gone, but draining takes them seconds,
 * and until then they hold the ports the new run needs.
 *
 * A pid alone may by now belong to someone else: only a process with the same pid and the same start time is ours.
 */
const FILE = 'processes.json';
/** What a process may take to end by itself, then by SIGTERM, before it is killed. */
const DRAIN_MS = 5_000;

interface Remembered {
  name: string;
  pid: number;
  startedTicks: string;
}

export function rememberProcesses(dataDir: string, pids: Record<string, number>): void {
  const remembered = Object.entries(pids).flatMap(([name, pid]): Remembered[] => {
    const startedTicks = startTimeOf(pid);
    return startedTicks === undefined ? [] : [{ name, pid, startedTicks }];
  });
  const file = path.join(dataDir, FILE);
  writeFileSync(`${file}.new`, JSON.stringify(remembered), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Ends what an earlier run left. Answers the names of what was still there. */
export async function endLeftovers(dataDir: string): Promise<string[]> {
  const file = path.join(dataDir, FILE);
  const left = readRemembered(file).filter(isAlive);
  for (const { pid } of left) signalIfAlive(pid, 'SIGTERM');
  if (!(await haveEnded(left, DRAIN_MS))) {
    for (const process of left.filter(isAlive)) signalIfAlive(process.pid, 'SIGKILL');
    await haveEnded(left, DRAIN_MS);
  }
  rmSync(file, { force: true });
  return left.map(({ name }) => name);
}

/** When the process was started, in the kernel's ticks; undefined when there is none, or no /proc. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets and may hold spaces; the 22nd of all is the start time.
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return afterName[0] === 'Z' ? undefined : afterName[19];
  } catch {
    return undefined;
  }
}

export function signalIfAlive(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Whether the process has gone within the time; for processes that are not our children, which only polling can tell. */
export async function hasGone(pid: number, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (signalIfAlive(pid, 0) && startTimeOf(pid) !== undefined) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return true;
}

function readRemembered(file: string): Remembered[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Remembered[];
  } catch {
    return [];
  }
}

function isAlive({ pid, startedTicks }: Remembered): boolean {
  return startTimeOf(pid) === startedTicks;
}

async function haveEnded(processes: Remembered[], withinMs: number): Promise<boolean> {
  const gone = await Promise.all(processes.map(({ pid }) => hasGone(pid, withinMs)));
  return gone.every(Boolean);
}

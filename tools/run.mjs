// Programs that `npm start` and `npm test` run to their end. None outlives the command: each has a process group of
// its own, which ends when a signal comes or when the npm that started us is gone (a kill -9 of npm tells nobody).
import { spawn } from 'node:child_process';
import path from 'node:path';

// Node 20 before its release 11 has no import.meta.dirname.
const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
export const root = path.resolve(here, '..');

/** A failure whose message says everything: no stack is shown. */
export class PlainError extends Error {}

const PARENT_CHECK_MS = 500;
const running = new Set();

/** Runs a program to its end; what it said is shown when it fails. */
export function run(program, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    running.add(child);
    let said = '';
    child.stdout.on('data', (chunk) => (said += chunk));
    child.stderr.on('data', (chunk) => (said += chunk));
    child.once('error', (error) => reject(new PlainError(`${program}: ${error.message}`)));
    child.once('close', (code, signal) => {
      running.delete(child);
      if (code === 0) resolve(said);
      else reject(new PlainError(`${said.trim()}\n    ${program} ended with ${signal ?? code}`));
    });
  });
}

/**
 * Runs a program whose standard error a person reads, and answers its exit code, 1 after a signal. Jest writes its report
 * there; with --json its standard output holds the results a second time.
 */
export function watch(program, args, env = process.env) {
  const child = spawn(program, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  });
  running.add(child);
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code) => {
      running.delete(child);
      resolve(code ?? 1);
    });
  });
}

/** Calls `end` with a signal's name for each SIGINT, SIGTERM and SIGHUP, and with SIGTERM when npm is gone. */
export function onEnd(end) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(signal));
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    end('SIGTERM');
  }, PARENT_CHECK_MS);
  timer.unref();
}

/** Ends what run() started, with everything it started in turn. */
export function endRunning(signal) {
  for (const { pid } of running) {
    try {
      process.kill(-pid, signal);
    } catch {
      // It ended by itself just now.
    }
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { LocalStackError } from './errors.js';
import type { ProcessLog } from './process-log.js';

export interface ProcessSpec {
  /** Also the name of its log file. */
  name: string;
  /** For Node: its flags, the program, the program's arguments. */
  args: string[];
  /** All it gets, beside what every program needs to run at all. */
  env: Record<string, string>;
  /** Answers 200 once the process can do its work. */
  readyUrl: string;
  readyTimeoutMs?: number;
}

/** Why a process came to be running, or is not. */
export type ProcessChange =
  { kind: 'spawned'; pid: number; again: boolean } | { kind: 'ended'; how: string; wanted: boolean };

const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 40;
/** A process that ran this long before it ended is not failing at its start. */
const STEADY_MS = 20_000;
const BACKOFF_MS = [0, 250, 500, 1_000, 2_000, 5_000, 10_000];
/** A first start that ends this often by itself will not come up. */
const HOPELESS_EXITS = 3;
const STOP_TIMEOUT_MS = 20_000;

/**
 * One child process that is meant to run.
 *
 *   stopped --start()--> starting --200 from readyUrl--> ready
 *   starting, ready --process ends--> waiting --back-off--> starting      the first time at once
 *   any --stop()--> stopped
 *
 * It runs in a session of its own, so Ctrl-C in the terminal reaches only the supervisor. Its standard input is a pipe
 * that only the supervisor holds: when the supervisor dies, however it dies, the pipe closes, and the process ends
 * itself (POSTHASTE_SUPERVISED=1 tells it to).
 */
export class SupervisedProcess {
  private child: ChildProcess | undefined;
  private wanted = false;
  private everReady = false;
  private failedStarts = 0;
  private spawnedAt = 0;
  private restartTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly spec: ProcessSpec,
    private readonly log: ProcessLog,
    private readonly onChange: (change: ProcessChange) => void,
  ) {}

  /** 0 while there is none. */
  get pid(): number {
    return this.child?.pid ?? 0;
  }

  get name(): string {
    return this.spec.name;
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    this.wanted = true;
    if (this.child === undefined) this.spawn();
    await this.whenReady();
  }

  /** Ends it, and keeps it down until start(). */
  async stop(timeoutMs = STOP_TIMEOUT_MS): Promise<void> {
    this.wanted = false;
    clearTimeout(this.restartTimer);
    if (this.child === undefined) return;
    const ended = this.whenEnded(this.child);
    this.child.kill('SIGTERM');
    // A process that was stopped with SIGSTOP hears nothing else before it goes on.
    this.child.kill('SIGCONT');
    const killing = setTimeout(() => this.child?.kill('SIGKILL'), timeoutMs);
    await ended;
    clearTimeout(killing);
  }

  /** As from outside: what ends it makes it start again. Resolves for SIGKILL when the process is gone. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.child === undefined) return;
    const ended = this.whenEnded(this.child);
    this.child.kill(signal);
    if (signal === 'SIGKILL') await ended;
  }

  /** Fails with LocalStackError `not_ready`, with its last log lines. */
  async whenReady(): Promise<void> {
    const timeoutMs = this.spec.readyTimeoutMs ?? READY_TIMEOUT_MS;
    const deadline = Date.now() + timeoutMs;
    while (!(await this.isReady())) {
      if (!this.everReady && this.failedStarts >= HOPELESS_EXITS)
        throw this.notReady('ended by itself each time');
      if (!this.wanted) throw this.notReady('was stopped');
      if (Date.now() > deadline) throw this.notReady(`was not ready after ${timeoutMs / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
    this.everReady = true;
  }

  private async isReady(): Promise<boolean> {
    const asked = this.child;
    if (asked === undefined) return false;
    try {
      const response = await fetch(this.spec.readyUrl, {
        signal: AbortSignal.timeout(2_000),
        // A kept connection would outlive the process it was made to.
        headers: { connection: 'close' },
      });
      await response.body?.cancel();
      return response.ok && asked === this.child;
    } catch {
      return false;
    }
  }

  private spawn(): void {
    const output = this.log.open();
    const child = spawn(process.execPath, this.spec.args, {
      detached: true,
      stdio: ['pipe', output, output],
      env: { ...ambientEnvironment(), ...this.spec.env, POSTHASTE_SUPERVISED: '1' },
    });
    closeSync(output);
    const again = this.spawnedAt > 0;
    this.spawnedAt = Date.now();
    this.child = child;
    child.stdin?.on('error', () => undefined);
    child.once('error', (error) => this.hasEnded(child, error.message));
    child.once('exit', (code, signal) => this.hasEnded(child, signal ?? `exit code ${code}`));
    if (child.pid !== undefined) this.onChange({ kind: 'spawned', pid: child.pid, again });
  }

  private hasEnded(child: ChildProcess, how: string): void {
    if (this.child !== child) return;
    this.child = undefined;
    this.onChange({ kind: 'ended', how, wanted: this.wanted });
    if (!this.wanted) return;
    if (Date.now() - this.spawnedAt > STEADY_MS) this.failedStarts = 0;
    const backoffMs = BACKOFF_MS[Math.min(this.failedStarts++, BACKOFF_MS.length - 1)] ?? 0;
    if (!this.everReady && this.failedStarts >= HOPELESS_EXITS) return;
    this.restartTimer = setTimeout(() => this.spawn(), backoffMs);
  }

  private async whenEnded(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => child.once('exit', resolve));
  }

  private notReady(why: string): LocalStackError {
    const said = lastWords(this.log.lastLines(20));
    return new LocalStackError(
      'not_ready',
      `${this.spec.name} ${why}${said === '' ? '' : `: ${said}`}`,
      `the whole log is ${this.log.file}`,
    );
  }
}

/** The last line that says what went wrong, else the last one, in the words a person looks for. */
function lastWords(lines: string[]): string {
  const spoken = lines.map(wordsOf);
  const chosen = spoken.findLast(({ isError }) => isError) ?? spoken.at(-1);
  return chosen?.words.split('\n')[0] ?? '';
}

/** Of a service's JSON line: level 50 and above is an error. Any other line is taken as it is. */
function wordsOf(line: string): { words: string; isError: boolean } {
  try {
    const { level, msg, err } = JSON.parse(line) as { level: number; msg: string; err?: { message: string } };
    return { words: err === undefined ? msg : err.message, isError: level >= 50 };
  } catch {
    return { words: line.trim(), isError: /\berror\b/i.test(line) };
  }
}

/** What a program needs whatever it does; a shell's PORT or LOG_LEVEL must not reach it by accident. */
function ambientEnvironment(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { freePorts, startTimeOf } from '@posthaste/local-stack';
import { waitFor } from '@posthaste/test-kit';

const root = path.resolve(import.meta.dirname, '../../..');

/** `.posthaste/dev.json`, as the design promises it to scripts. */
export interface DevFile {
  url: string;
  operatorKey: string;
  tenants: { id: string; key: string }[];
  keys: { ada: string; linkup: string; middesk: string };
  processes: Record<string, number>;
}

/** What `npm start` is told by its environment: free ports for one data folder, the same at every start. */
export async function standaloneEnvironment(dataDir: string): Promise<Record<string, string>> {
  const ports = await freePorts(6);
  const [api, history, dispatch, schedule, play, postgres] = ports;
  return {
    POSTHASTE_DATA_DIR: dataDir,
    POSTHASTE_PORT: String(api),
    POSTHASTE_HISTORY_PORT: String(history),
    POSTHASTE_DISPATCH_PORT: String(dispatch),
    POSTHASTE_SCHEDULE_PORT: String(schedule),
    POSTHASTE_PLAY_PORT: String(play),
    POSTHASTE_POSTGRES_PORT: String(postgres),
    POSTHASTE_OPS_PORT: String(await firstOfFourPorts(ports)),
    POSTHASTE_LOG: 'postgres',
    KAFKA_BROKERS: '',
    DATABASE_URL: '',
  };
}

/** `npm start` in a process group of its own, as a terminal runs it. */
export class RunningStandalone {
  output = '';
  readonly startedAt = Date.now();
  private readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;

  /** @param command what to run instead of npm, and as whom */
  constructor(
    private readonly env: Record<string, string>,
    args: string[] = [],
    command: { program?: string; args?: string[]; as?: Pick<SpawnOptions, 'uid' | 'gid'> } = {},
  ) {
    const npmArgs = ['start', '--silent', '--', ...args];
    this.child = spawn(command.program ?? 'npm', command.args ?? npmArgs, {
      cwd: root,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...command.as,
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    }
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
  }

  /** The panel is printed last: when it is there, everything is. */
  async whenReady(deadlineMs = 120_000): Promise<DevFile> {
    await this.whenSaying('Ctrl-C stops everything', deadlineMs);
    return this.devFile();
  }

  async whenSaying(words: string, deadlineMs = 60_000): Promise<void> {
    const hasEnded = (): boolean => this.child.exitCode !== null || this.child.signalCode !== null;
    const isSettled = (): boolean => this.output.includes(words) || hasEnded();
    await waitFor(isSettled, { deadlineMs, what: words, everyMs: 10 });
    if (this.output.includes(words)) return;
    throw new Error(`it ended with code ${this.child.exitCode}:\n${this.output}`);
  }

  devFile(): DevFile {
    const file = path.join(this.env['POSTHASTE_DATA_DIR'] ?? '', 'dev.json');
    return JSON.parse(readFileSync(file, 'utf8')) as DevFile;
  }

  /** As a terminal sends it: to npm and to everything npm runs in its group. */
  signalGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-(this.child.pid ?? 0), signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** To npm alone. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Its exit code; null after a signal that killed it. */
  async whenEnded(): Promise<number | null> {
    return this.ended;
  }
}

/** Everything that belongs to the data folder is gone: its processes, those of the supervisor, its lock. */
export function hasStopped(dataDir: string, { processes }: DevFile): boolean {
  const left = Object.values(processes).filter((pid) => startTimeOf(pid) !== undefined);
  return left.length === 0 && !existsSync(path.join(dataDir, 'lock'));
}

/** The services' ops ports follow each other. */
async function firstOfFourPorts(others: number[]): Promise<number> {
  for (;;) {
    const [first = 0] = await freePorts(1);
    const four = [first, first + 1, first + 2, first + 3];
    if (four.some((port) => others.includes(port))) continue;
    const free = await Promise.all(four.map(isFree));
    if (free.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  if (port > 65_535) return Promise.resolve(false);
  const probe = createServer();
  return new Promise((answer) => {
    probe.once('error', () => answer(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => answer(true)));
  });
}

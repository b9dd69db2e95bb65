import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { freePorts } from '@posthaste/local-stack';
import { waitFor } from '@posthaste/test-kit';
import { distDir } from './test-stack.js';

/** `.posthaste/dev.json`, as the design promises it to scripts. */
export interface DevFile {
  url: string;
  operatorKey: string;
  tenants: { id: string; key: string }[];
  keys: Record<string, string | null>;
  processes: Record<string, number>;
}

/** Ports for one data folder, the same at every start. */
export async function standalonePorts(): Promise<Record<string, string>> {
  // The four ops ports lie in a row.
  const [api, history, play, postgres, ops] = (await freePorts(5)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    POSTHASTE_PORT: String(api),
    POSTHASTE_HISTORY_PORT: String(history),
    POSTHASTE_PLAY_PORT: String(play),
    POSTHASTE_POSTGRES_PORT: String(postgres),
    POSTHASTE_OPS_PORT: String(Math.min(ops, 65_000)),
  };
}

/** What `npm start` runs once everything is built: the program itself, as a child process. */
export class RunningStandalone {
  output = '';
  readonly startedAt = Date.now();
  private readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;

  constructor(
    private readonly dataDir: string,
    ports: Record<string, string>,
  ) {
    const env = { ...process.env, ...ports, POSTHASTE_DATA_DIR: dataDir, POSTHASTE_SUPERVISED: '1' };
    const program = path.join(distDir, 'apps/standalone/main.js');
    this.child = spawn(process.execPath, [program], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdin?.on('error', () => undefined);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    }
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
  }

  /** `dev.json` is written last: when it is there, everything is. */
  async whenReady(deadlineMs = 60_000): Promise<DevFile> {
    const file = path.join(this.dataDir, 'dev.json');
    const ready = waitFor(() => existsSync(file), { deadlineMs, what: 'dev.json', everyMs: 20 });
    const died = this.ended.then((code) => {
      throw new Error(`it ended with code ${code}:\n${this.output}`);
    });
    await Promise.race([ready, died]);
    return JSON.parse(readFileSync(file, 'utf8')) as DevFile;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Its exit code; null after a signal that killed it. */
  async whenEnded(): Promise<number | null> {
    return this.ended;
  }
}

/** Whether a process of this number still runs; one that ended and waits for its parent does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return existsSync('/proc/self') ? false : true;
  }
}

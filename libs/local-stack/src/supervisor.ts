import path from 'node:path';
import { endLeftovers, rememberProcesses } from './leftovers.js';
import { ProcessLog } from './process-log.js';
import { type ProcessChange, type ProcessSpec, SupervisedProcess } from './supervised-process.js';

/**
 * Keeps a set of child processes running, and takes them down in order.
 *
 * It promises: a process that ends is started again, the first time at once; `stop()` returns with nothing left
 * running, within about 20 s; when the supervisor itself is killed its processes end by themselves, and the next
 * supervisor of the same folder ends those that have not yet. It does not restart a process that hangs: nothing tells
 * a hanging one from a busy one.
 */
export interface SupervisorOptions {
  /** Holds `logs/` and the list of running processes. */
  dataDir: string;
  /** Called at every start and end of a process. */
  onChange?: (name: string, change: ProcessChange) => void;
}

const LOG_MAX_BYTES = 32 * 1024 * 1024;
const LOG_CHECK_MS = 5_000;

export class Supervisor {
  private readonly processes = new Map<string, SupervisedProcess>();
  private readonly logs: ProcessLog[] = [];
  private readonly logCheck: NodeJS.Timeout;

  private constructor(private readonly options: SupervisorOptions) {
    this.logCheck = setInterval(() => this.logs.forEach((log) => log.bound(LOG_MAX_BYTES)), LOG_CHECK_MS);
    this.logCheck.unref();
  }

  /** Ends what an earlier supervisor of the folder left behind, then is ready to start processes. */
  static async create(options: SupervisorOptions): Promise<Supervisor> {
    await endLeftovers(options.dataDir);
    return new Supervisor(options);
  }

  /** Resolves when the process is ready. Processes stop in the reverse order of these calls. */
  async start(spec: ProcessSpec): Promise<SupervisedProcess> {
    if (this.processes.has(spec.name)) throw new Error(`there is already a process ${spec.name}`);
    const log = new ProcessLog(path.join(this.options.dataDir, 'logs'), spec.name);
    this.logs.push(log);
    const supervised = new SupervisedProcess(spec, log, (change) => {
      rememberProcesses(this.options.dataDir, this.pids());
      this.options.onChange?.(spec.name, change);
    });
    this.processes.set(spec.name, supervised);
    await supervised.start();
    return supervised;
  }

  process(name: string): SupervisedProcess {
    const found = this.processes.get(name);
    if (found !== undefined) return found;
    throw new Error(`there is no process ${name}; there are ${[...this.processes.keys()].join(', ')}`);
  }

  /** Of the processes that run now. */
  pids(): Record<string, number> {
    const running = [...this.processes].map(([name, { pid }]) => [name, pid] as const);
    return Object.fromEntries(running.filter(([, pid]) => pid > 0));
  }

  async whenReady(): Promise<void> {
    await Promise.all([...this.processes.values()].map((supervised) => supervised.whenReady()));
  }

  /** SIGTERM to all, the last started first; SIGKILL to what is left after `timeoutMs`. */
  async stop(timeoutMs?: number): Promise<void> {
    clearInterval(this.logCheck);
    await Promise.all([...this.processes.values()].reverse().map((supervised) => supervised.stop(timeoutMs)));
    rememberProcesses(this.options.dataDir, {});
  }
}

import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { EmbeddedPostgres } from './embedded-postgres.js';
import { serviceEnvironment, serviceNodeFlags } from './node-flags.js';
import { type ProcessPlan, type Replicas, type StackLog, planServices, playSpec } from './stack-processes.js';
import { portGiver, type StackPorts } from './stack-ports.js';
import { startStackPostgres } from './stack-postgres.js';
import { stackSecrets } from './stack-secrets.js';
import type { ProcessChange } from './supervised-process.js';
import { Supervisor } from './supervisor.js';

/**
 * The whole of Posthaste on one machine, as `npm start`, the end-to-end tests and the benchmarks run it: PostgreSQL,
 * the four services and play, each a process of its own on loopback.
 *
 * It promises: when startStack resolves, a message can be published; whatever process ends is started again; what an
 * earlier run left of its processes is ended first; `stop()` leaves nothing running and loses nothing. Several stacks
 * run side by side when their data folders and ports differ. It does not guard the data folder against a second
 * stack: the caller holds the lock.
 *
 *   starting -> ready -> (a process down -> ready)* -> stopped
 */
export interface StackOptions {
  /** A temporary one, removed by stop(), when not given. */
  dataDir?: string;
  log?: StackLog;
  /** Kafka's bootstrap servers; needed for the log `kafka`. */
  brokers?: string[];
  /** A server to use instead of the embedded one. */
  databaseUrl?: string;
  /** Free ones when not given, or 0. */
  ports?: Partial<StackPorts>;
  replicas?: Replicas;
  /** Whether history comes after delivery while the machine is busy (docs/adr/0014); true when not given. */
  historyYields?: boolean;
  /** For every service, such as `{ LOG_LEVEL: 'debug' }`. */
  env?: Record<string, string>;
  /** Where endpoints may point beside the public internet. Receivers on this machine, when not given. */
  egressAllow?: string;
  /** Holds `apps/<name>/main.js`. */
  distDir: string;
  /** Flags for Node beside `serviceNodeFlags`. */
  nodeArgs?: string[];
  /** Without play when false. */
  play?: boolean;
  /** Called with what is being waited for, in a few words. */
  onProgress?: (step: string) => void;
  onProcessChange?: (name: string, change: ProcessChange) => void;
}

export interface StackProcess {
  /** 0 while it is down. */
  readonly pid: number;
  /** A signal as from outside; the stack starts again what it ends. Resolves for SIGKILL when the process is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Gracefully down, until start(). */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface Stack {
  /** REST, without a trailing slash. */
  readonly url: string;
  /** One per replica of management-api. */
  readonly urls: string[];
  readonly operatorKey: string;
  readonly databaseUrl: string;
  /** '' without play. */
  readonly playUrl: string;
  readonly dataDir: string;
  /** Pids of the running processes by name: a service, its further replicas as `dispatcher-2`, `play`, `postgres`. */
  readonly processes: Record<string, number>;
  process(name: string): StackProcess;
  /** Where a process answers /metrics and its health, without a trailing slash. */
  opsUrl(name: string): string;
  /** Resolves when every process is ready, for example after a kill. */
  waitReady(): Promise<void>;
  stop(): Promise<void>;
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const dataDir = path.resolve(options.dataDir ?? temporaryDataDir());
  mkdirSync(dataDir, { recursive: true });
  const say = options.onProgress ?? (() => undefined);
  const secrets = stackSecrets(dataDir);
  const onChange = options.onProcessChange ?? (() => undefined);
  const supervisor = await Supervisor.create({ dataDir, onChange });
  let postgres: EmbeddedPostgres | undefined;
  const stop = async (): Promise<void> => {
    await supervisor.stop();
    await postgres?.stop();
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  };

  try {
    const givePort = await portGiver(options.ports ?? {}, portCount(options.replicas ?? {}));
    if (options.databaseUrl === undefined) {
      // The server itself says when its port is taken; by then an orphan of ours may have been stopped.
      const port = options.ports?.postgres || (await givePort('postgres'));
      postgres = await startStackPostgres(dataDir, secrets, port, say, () => {
        onChange('postgres', { kind: 'spawned', pid: postgres?.pid ?? 0, again: true });
      });
    }
    const databaseUrl = options.databaseUrl ?? postgres?.url ?? '';
    const plan: ProcessPlan = {
      distDir: options.distDir,
      nodeArgs: [...serviceNodeFlags, ...(options.nodeArgs ?? [])],
      databaseUrl,
      log: options.log ?? 'postgres',
      brokers: options.brokers ?? [],
      secrets,
      egressAllow: options.egressAllow ?? '127.0.0.0/8',
      replicas: options.replicas ?? {},
      historyYields: options.historyYields ?? true,
      env: { ...serviceEnvironment, ...options.env },
      givePort,
    };
    const { specs, apiUrls } = await planServices(plan);
    let playUrl = '';
    if (options.play !== false) {
      const port = await givePort('play');
      playUrl = `http://127.0.0.1:${port}`;
      specs.unshift(playSpec(options.distDir, plan.nodeArgs, port));
    }
    say(`the services: ${specs.map(({ name }) => name).join(', ')}`);
    await Promise.all(specs.map((spec) => supervisor.start(spec)));
    return {
      url: apiUrls[0] ?? '',
      urls: apiUrls,
      operatorKey: secrets.operatorKey,
      databaseUrl,
      playUrl,
      dataDir,
      get processes() {
        return { ...supervisor.pids(), ...(postgres === undefined ? {} : { postgres: postgres.pid }) };
      },
      process: (name) =>
        name === 'postgres' && postgres ? postgresProcess(postgres) : supervisor.process(name),
      opsUrl: (name) => new URL(specs.find((spec) => spec.name === name)?.readyUrl ?? '').origin,
      waitReady: () => supervisor.whenReady(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function temporaryDataDir(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-stack-'));
  // PostgreSQL may run as another user and has to pass through.
  chmodSync(folder, 0o755);
  return folder;
}

/** Every port there may be, so that one request for free ports is enough and all differ. */
function portCount({ managementApi, dispatcher, retryScheduler, auditLog }: Replicas): number {
  const processes = (managementApi ?? 1) + (dispatcher ?? 1) + (retryScheduler ?? 1) + (auditLog ?? 1);
  return 2 * processes + 2;
}

function postgresProcess(server: EmbeddedPostgres): StackProcess {
  return {
    get pid() {
      return server.pid;
    },
    kill: (signal) => {
      if (signal === 'SIGKILL' || signal === 'SIGSTOP' || signal === 'SIGCONT') return server.kill(signal);
      throw new Error(`PostgreSQL is not sent ${signal} here; use stop()`);
    },
    stop: () => server.stop(),
    start: () => server.restart(),
  };
}

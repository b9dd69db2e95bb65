import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { startChildReaper } from './child-reaper.js';
import { LocalStackError } from './errors.js';
import { freePorts } from './free-ports.js';
import { defaultKafkaCacheDir, kafkaClassPath } from './kafka-jars.js';
import { kafkaLogging, type KafkaNodePlan, kafkaProperties } from './kafka-templates.js';

/**
 * Kafka on loopback: one or three KRaft nodes, for development and tests. Needs Java 17, and Maven for the first run.
 *
 * It promises: every node answers with the whole cluster when `startKafka` resolves; a node can be killed and started
 * again on its port with its data; no node outlives this process. Without `dataDir` the data goes when it stops.
 * It does not promise durability against power loss: Kafka does not fsync each write.
 *
 * States of a node: formatted -> running -> ended (stop, kill, or by itself) -> running again by start().
 */
export interface KafkaNode {
  readonly id: number;
  readonly port: number;
  readonly pid: number | undefined;
  readonly logFile: string;
  /** Holds its partitions. */
  readonly dataDir: string;
  /** Resolves when the process has ended, for a signal that ends it. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again, and resolves when it answers. */
  start(): Promise<void>;
}

export interface LocalKafka {
  /** host:port of every node. */
  readonly bootstrap: string[];
  readonly nodes: KafkaNode[];
  stop(): Promise<void>;
}

export interface LocalKafkaOptions {
  nodes?: number;
  /** Where the jars are kept; by default .cache/posthaste-kafka in the home folder. */
  cacheDir?: string;
  dataDir?: string;
  /** One for each node; free ones when not given. */
  ports?: number[];
  /** The heap of each node, as Java writes it. */
  heap?: string;
  /** Broker settings beyond ours. */
  properties?: Record<string, string | number>;
  log?: (line: string) => void;
}

const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 15_000;
// The first compiler and the serial collector only: quick starts and little memory.
const JVM = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function startKafka(options: LocalKafkaOptions = {}): Promise<LocalKafka> {
  const count = options.nodes ?? 1;
  const classPath = await kafkaClassPath(
    options.cacheDir ?? defaultKafkaCacheDir(),
    options.log ?? (() => undefined),
  );
  const dataDir = options.dataDir ?? mkdtempSync(path.join(os.tmpdir(), 'posthaste-kafka-'));
  mkdirSync(dataDir, { recursive: true });
  const free = await freePorts(count * 2);
  const plans = Array.from({ length: count }, (_, index): KafkaNodePlan => {
    const port = options.ports?.[index] ?? free[index] ?? 0;
    const id = index + 1;
    return {
      id,
      port,
      controllerPort: free[count + index] ?? 0,
      dataDir: path.join(dataDir, `node-${id}`),
    };
  });
  const logging = path.join(dataDir, 'log4j2.properties');
  writeFileSync(logging, kafkaLogging);
  const java = [...JVM, `-Dlog4j2.configurationFile=${logging}`, '-cp', classPath];
  const clusterId = clusterIdOf(dataDir);
  const reaper = startChildReaper(options.dataDir === undefined ? dataDir : undefined);
  const nodes: RunningNode[] = [];
  const tellReaper = (): void =>
    reaper.watch(nodes.flatMap((node) => (node.alive ? [node.pid as number] : [])));
  for (const plan of plans) {
    const file = path.join(dataDir, `node-${plan.id}.properties`);
    const lines = Object.entries(kafkaProperties(plan, plans, options.properties ?? {}));
    writeFileSync(file, lines.map(([key, value]) => `${key}=${value}\n`).join(''));
    nodes.push(new RunningNode(plan, file, java, options.heap ?? '256m', tellReaper));
  }

  const stop = async (graceMs = STOP_TIMEOUT_MS): Promise<void> => {
    const timer = setTimeout(() => nodes.forEach((node) => void node.kill('SIGKILL')), graceMs);
    await Promise.all(nodes.map((node) => node.kill('SIGTERM')));
    clearTimeout(timer);
    reaper.dismiss();
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    await Promise.all(nodes.map((node) => node.format(clusterId)));
    nodes.forEach((node) => node.launch());
    const deadline = Date.now() + READY_TIMEOUT_MS;
    await Promise.all(nodes.map((node) => node.whenAnswering(count, deadline)));
  } catch (error) {
    await stop(0);
    throw error;
  }
  return { bootstrap: plans.map((plan) => `127.0.0.1:${plan.port}`), nodes, stop: () => stop() };
}

/** Formatting with another id than before fails, so the id lives beside the data. */
function clusterIdOf(dataDir: string): string {
  const file = path.join(dataDir, 'cluster.id');
  if (!existsSync(file)) {
    // Taken for an option by the format tool if it began with a dash.
    writeFileSync(file, `A${randomBytes(16).toString('base64url').slice(1)}`);
  }
  return readFileSync(file, 'utf8');
}

class RunningNode implements KafkaNode {
  readonly id: number;
  readonly port: number;
  readonly logFile: string;
  readonly dataDir: string;
  private child: ChildProcess | undefined;
  private exited: Promise<void> = Promise.resolve();

  constructor(
    private readonly plan: KafkaNodePlan,
    private readonly propertiesFile: string,
    private readonly java: string[],
    private readonly heap: string,
    private readonly onChange: () => void,
  ) {
    this.id = plan.id;
    this.port = plan.port;
    this.logFile = `${plan.dataDir}.log`;
    this.dataDir = plan.dataDir;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  get alive(): boolean {
    const { child } = this;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async format(clusterId: string): Promise<void> {
    if (existsSync(path.join(this.plan.dataDir, 'meta.properties'))) return;
    const args = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', this.propertiesFile];
    const code = await this.run([...this.java, ...args, '--ignore-formatted']);
    if (code !== 0) throw this.failure('its data folder could not be formatted');
  }

  launch(): void {
    void this.run([`-Xms${this.heap}`, `-Xmx${this.heap}`, ...this.java, 'kafka.Kafka', this.propertiesFile]);
  }

  async start(): Promise<void> {
    this.launch();
    await this.whenAnswering(1, Date.now() + READY_TIMEOUT_MS);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.alive) this.child?.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await this.exited;
  }

  async whenAnswering(brokers: number, deadline: number): Promise<void> {
    for (;;) {
      if (!this.alive) throw this.failure('it ended');
      if ((await brokersSeenBy(this.port).catch(() => 0)) >= brokers) return;
      if (Date.now() > deadline) throw this.failure('it does not answer');
      await sleep(50);
    }
  }

  private run(args: string[]): Promise<number | null> {
    const output = openSync(this.logFile, 'a');
    // In its own session: Ctrl-C in the terminal reaches the owner only, which stops the nodes last.
    const child = spawn('java', args, { stdio: ['ignore', output, output], detached: true });
    closeSync(output);
    this.child = child;
    const ended = new Promise<number | null>((resolve) => {
      child.once('exit', (code) => resolve(code));
      child.once('error', () => resolve(null));
    });
    this.exited = ended.then(() => this.onChange());
    this.onChange();
    return ended;
  }

  private failure(what: string): LocalStackError {
    const said = existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').slice(-2_000) : '';
    const message = `Kafka node ${this.id} did not start, ${what}: ${said}`;
    return new LocalStackError(
      'start_failed',
      message,
      'Java 17 or later must be installed, and the disk not full',
    );
  }
}

/** How many brokers a node knows of: a Metadata request (version 1, no topics), written by hand to need no client. */
function brokersSeenBy(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(1_000, () => fail(new Error('no answer in time')));
    socket.on('error', fail).on('close', () => fail(new Error('closed')));
    const request = Buffer.alloc(18);
    request.writeInt32BE(request.length - 4, 0);
    request.writeInt16BE(3, 4); // api key: Metadata
    request.writeInt16BE(1, 6); // version
    request.writeInt32BE(1, 8); // correlation id
    request.writeInt16BE(-1, 12); // no client id
    request.writeInt32BE(0, 14); // of no topic
    socket.write(request);
    let answer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < 12) return;
      resolve(answer.readInt32BE(8));
      socket.destroy();
    });
  });
}

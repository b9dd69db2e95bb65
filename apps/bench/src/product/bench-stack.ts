import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Topic, topics } from '@posthaste/contracts';
import { type Stack, type StackProcess, startKafka, startStack } from '@posthaste/local-stack';
import { seedTenant, type TenantClient } from '@posthaste/test-kit';
import { costOf, holdingsOf, type ProcessCost } from './process-cost.js';
import type { PublishTarget } from '../traffic/protocol.js';
import { kafkaBytes, walBytes, type WrittenBytes } from './written-bytes.js';
import type { Workers } from '../traffic/worker-process.js';

export type LogKind = 'postgres' | 'kafka';

/** What differs between the stacks that scenarios run on. */
export interface StackShape {
  dispatchers: number;
  /** How many partitions each topic has: as on one machine, or as on a cluster. */
  partitions: keyof Topic['partitions'];
}

/** The product under measurement: a fresh stack with one tenant. */
export interface BenchStack {
  log: LogKind;
  dispatchers: number;
  /** Of each topic that carries traffic. */
  partitions: number;
  tenant: TenantClient;
  target(account: string, eventType: string): PublishTarget;
  headers: Record<string, string>;
  pids(): Record<string, number>;
  /** By process; the datastores' workers are counted with them. */
  costs(): Record<string, ProcessCost>;
  /** Since it was made. */
  written(): Promise<WrittenBytes>;
  /** To stop one, and to start it again. */
  process(name: string): StackProcess;
  /** What a service counts, in Prometheus' text format. */
  metrics(service: string): Promise<string>;
  stop(): Promise<void>;
}

/** What every scenario works with. */
export interface Bench {
  workers: Workers;
  stack: BenchStack;
}

export const DATASTORES = ['postgres', 'kafka'];
const QUIET_CPU_SHARE = 0.1;
const QUIET_LOOK_MS = 500;
const QUIET_LIMIT_MS = 60_000;

export async function startBenchStack(options: {
  log: LogKind;
  distDir: string;
  shape: StackShape;
  /** Each service writes its CPU profile here when it ends. */
  profileDir?: string;
}): Promise<BenchStack> {
  const kafka = options.log === 'kafka' ? await startKafka() : undefined;
  const node = kafka?.nodes[0];
  const stack = await startStack({
    log: options.log,
    brokers: kafka?.bootstrap ?? [],
    distDir: options.distDir,
    play: false,
    nodeArgs: nodeArgs(options.profileDir),
    replicas: { dispatcher: options.shape.dispatchers },
    env: { POSTHASTE_SCALE: options.shape.partitions },
  });
  const tenant = await seedTenant(stack.url, stack.operatorKey, 'bench');
  const pids = (): Record<string, number> => pidsOf(stack, node?.pid);
  return {
    log: options.log,
    dispatchers: options.shape.dispatchers,
    partitions: topics.messages.partitions[options.shape.partitions],
    tenant,
    target: (account, eventType) => ({
      url: `${stack.url}/v1/accounts/${account}/messages`,
      prefix: `{"event_type":"${eventType}","payload":`,
      suffix: '}',
    }),
    headers: { authorization: `Bearer ${tenant.key}`, 'content-type': 'application/json' },
    pids,
    costs: () => {
      const costs = Object.entries(pids()).map(([name, pid]) => [
        name,
        costOf(pid, DATASTORES.includes(name)),
      ]);
      return Object.fromEntries(costs) as Record<string, ProcessCost>;
    },
    written: async () => ({
      postgresWal: await walBytes(stack.databaseUrl),
      kafkaLog: node === undefined ? 0 : kafkaBytes(node.dataDir),
    }),
    process: (name) => stack.process(name),
    metrics: async (service) => (await fetch(`${stack.opsUrl(service)}/metrics`)).text(),
    stop: async () => {
      await stack.stop();
      await kafka?.stop();
    },
  };
}

/** What each service holds resident at this moment, in MB. */
export function residentMb(stack: BenchStack): [service: string, mb: number][] {
  const services = Object.entries(stack.pids()).filter(([name]) => !DATASTORES.includes(name));
  return services.map(([name, pid]) => [name, holdingsOf(pid).rssMb]);
}

/** History is written a little after delivery: it is part of what a run cost, and not of what the next one does. */
export async function whenQuiet(stack: BenchStack): Promise<void> {
  const used = (): number => Object.values(stack.costs()).reduce((sum, cost) => sum + cost.cpuSeconds, 0);
  const deadline = performance.now() + QUIET_LIMIT_MS;
  for (let before = used(); performance.now() < deadline; before = used()) {
    await new Promise((resolve) => setTimeout(resolve, QUIET_LOOK_MS));
    if (used() - before < (QUIET_CPU_SHARE * QUIET_LOOK_MS) / 1_000) return;
  }
  console.log('the product is still at work, which is part of what comes next and not of what was');
}

function pidsOf(stack: Stack, kafka: number | undefined): Record<string, number> {
  return { ...stack.processes, ...(kafka === undefined ? {} : { kafka }) };
}

function nodeArgs(profileDir: string | undefined): string[] {
  if (profileDir === undefined) return [];
  mkdirSync(path.resolve(profileDir), { recursive: true });
  return ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profileDir)}`];
}

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Stack, startKafka, startStack } from '@posthaste/local-stack';
import { seedTenant } from '@posthaste/test-kit';
import { costOf, type ProcessCost } from './process-cost.js';

export type LogKind = 'postgres' | 'kafka';

/** The product under measurement: a fresh stack, one tenant, one account, one endpoint. */
export interface BenchStack {
  publishUrl: string;
  headers: Record<string, string>;
  pids(): Record<string, number>;
  /** By process; the datastores' workers are counted with them. */
  costs(): Record<string, ProcessCost>;
  stop(): Promise<void>;
}

const DATASTORES = ['postgres', 'kafka'];

export async function startBenchStack(options: {
  log: LogKind;
  distDir: string;
  receiverUrl: string;
  /** Each service writes its CPU profile here when it ends. */
  profileDir?: string;
}): Promise<BenchStack> {
  const kafka = options.log === 'kafka' ? await startKafka() : undefined;
  const stack = await startStack({
    log: options.log,
    brokers: kafka?.bootstrap ?? [],
    distDir: options.distDir,
    play: false,
    nodeArgs: nodeArgs(options.profileDir),
  });
  const tenant = await seedTenant(stack.url, stack.operatorKey, 'bench');
  await tenant.putAccount('bench');
  await tenant.createEndpoint('bench', { url: options.receiverUrl });
  const pids = (): Record<string, number> => pidsOf(stack, kafka?.nodes[0]?.pid);
  return {
    publishUrl: `${stack.url}/v1/accounts/bench/messages`,
    headers: { authorization: `Bearer ${tenant.rest.key ?? ''}`, 'content-type': 'application/json' },
    pids,
    costs: () => {
      const costs = Object.entries(pids()).map(([name, pid]) => [
        name,
        costOf(pid, DATASTORES.includes(name)),
      ]);
      return Object.fromEntries(costs) as Record<string, ProcessCost>;
    },
    stop: async () => {
      await stack.stop();
      await kafka?.stop();
    },
  };
}

function pidsOf(stack: Stack, kafka: number | undefined): Record<string, number> {
  return { ...stack.processes, ...(kafka === undefined ? {} : { kafka }) };
}

function nodeArgs(profileDir: string | undefined): string[] {
  if (profileDir === undefined) return [];
  mkdirSync(path.resolve(profileDir), { recursive: true });
  return ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profileDir)}`];
}

import path from 'node:path';
import type { ProcessSpec } from './supervised-process.js';
import type { StackSecrets } from './stack-secrets.js';
import type { GivePort } from './stack-ports.js';

export type StackLog = 'postgres' | 'kafka';

/** How many processes of each service; one when not given. */
export interface Replicas {
  managementApi?: number;
  dispatcher?: number;
  retryScheduler?: number;
  auditLog?: number;
}

export interface ProcessPlan {
  distDir: string;
  /** Flags for Node, before the program. */
  nodeArgs: string[];
  databaseUrl: string;
  log: StackLog;
  brokers: string[];
  secrets: StackSecrets;
  egressAllow: string;
  replicas: Replicas;
  historyYields: boolean;
  /** Goes to every service, over what is set here. */
  env: Record<string, string>;
  givePort: GivePort;
}

export interface PlannedProcesses {
  specs: ProcessSpec[];
  /** REST, one per replica of management-api. */
  apiUrls: string[];
}

/** The four services in the order they start. Only the first replica of each has the well-known ports. */
export async function planServices(plan: ProcessPlan): Promise<PlannedProcesses> {
  const historyPort = await plan.givePort('history');
  const HISTORY_ADDRESS = `127.0.0.1:${historyPort}`;
  const { pepper, operatorKey, keks, auditKeys } = plan.secrets;
  const apiUrls: string[] = [];
  const specs: ProcessSpec[] = [];

  const add = async (
    service: string,
    offset: number,
    count: number | undefined,
    env: (replica: number) => Record<string, string> | Promise<Record<string, string>>,
  ): Promise<void> => {
    for (let replica = 0; replica < (count ?? 1); replica++) {
      const opsPort = await (replica === 0 ? plan.givePort('ops', offset) : plan.givePort());
      const name = replica === 0 ? service : `${service}-${replica + 1}`;
      specs.push(serviceSpec(plan, service, name, opsPort, await env(replica)));
    }
  };

  await add('audit-log', 3, plan.replicas.auditLog, async (replica) => ({
    GRPC_HOST: '127.0.0.1',
    GRPC_PORT: String(replica === 0 ? historyPort : await plan.givePort()),
    POSTHASTE_AUDIT_KEYS: auditKeys,
    HISTORY_YIELDS: plan.historyYields ? 'on' : 'off',
  }));
  const schedulers: string[] = [];
  await add('retry-scheduler', 2, plan.replicas.retryScheduler, async (replica) => {
    const port = await (replica === 0 ? plan.givePort('schedule') : plan.givePort());
    schedulers.push(`127.0.0.1:${port}`);
    return { HISTORY_ADDRESS, GRPC_HOST: '127.0.0.1', GRPC_PORT: String(port) };
  });
  const dispatchers: string[] = [];
  await add('dispatcher', 1, plan.replicas.dispatcher, async (replica) => {
    const port = await (replica === 0 ? plan.givePort('dispatch') : plan.givePort());
    dispatchers.push(`127.0.0.1:${port}`);
    return {
      GRPC_HOST: '127.0.0.1',
      GRPC_PORT: String(port),
      // Any of them can answer; the first that can be reached does.
      SCHEDULE_GRPC: `ipv4:${schedulers.join(',')}`,
      POSTHASTE_KEKS: keks,
      POSTHASTE_EGRESS_ALLOW: plan.egressAllow,
    };
  });
  await add('management-api', 0, plan.replicas.managementApi, async (replica) => {
    const port = await (replica === 0 ? plan.givePort('api') : plan.givePort());
    apiUrls.push(`http://127.0.0.1:${port}`);
    return {
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(port),
      HISTORY_GRPC: HISTORY_ADDRESS,
      // Any of them can send a test; the first that can be reached does.
      DISPATCH_GRPC: `ipv4:${dispatchers.join(',')}`,
      POSTHASTE_OPERATOR_KEY: operatorKey,
      POSTHASTE_KEY_PEPPER: pepper,
      POSTHASTE_KEKS: keks,
      POSTHASTE_EGRESS_ALLOW: plan.egressAllow,
      // Whoever calls it here is at home.
      ADA_RATE_LIMITS: 'off',
    };
  });
  return { specs, apiUrls };
}

function serviceSpec(
  plan: ProcessPlan,
  service: string,
  name: string,
  opsPort: number,
  env: Record<string, string>,
): ProcessSpec {
  return {
    name,
    args: [...plan.nodeArgs, path.join(plan.distDir, 'apps', service, 'main.js')],
    env: {
      NODE_ENV: 'production',
      DATABASE_URL: plan.databaseUrl,
      POSTHASTE_LOG: plan.log,
      KAFKA_BROKERS: plan.brokers.join(','),
      POSTHASTE_SCALE: 'single',
      OPS_HOST: '127.0.0.1',
      OPS_PORT: String(opsPort),
      ...env,
      ...plan.env,
    },
    readyUrl: `http://127.0.0.1:${opsPort}/readyz`,
  };
}

export function playSpec(distDir: string, nodeArgs: string[], port: number): ProcessSpec {
  return {
    name: 'play',
    args: [...nodeArgs, path.join(distDir, 'apps/play/main.js')],
    env: { NODE_ENV: 'production', PLAY_HOST: '127.0.0.1', PLAY_PORT: String(port) },
    readyUrl: `http://127.0.0.1:${port}/healthz`,
  };
}

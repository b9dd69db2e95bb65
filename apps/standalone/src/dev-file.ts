import { rmSync } from 'node:fs';
import path from 'node:path';
import { type Stack, writePrivately } from '@posthaste/local-stack';
import type { Demo } from './demo.js';

const services = ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log'];

/**
 * `dev.json`: where everything is and which processes run, for scripts and `posthaste`. It is there while the stack runs and goes when
 * it stops; one that a kill -9 left names processes that are gone.
 */
export function writeDevFile(stack: Stack, demo: Demo): void {
  writePrivately(fileIn(stack.dataDir), {
    url: stack.url,
    operatorKey: stack.operatorKey,
    tenants: [{ id: demo.tenantId, key: demo.tenantKey }],
    keys: demo.keys,
    processes: stack.processes,
    ops: Object.fromEntries(services.map((name) => [name, stack.opsUrl(name)])),
  });
}

export function removeDevFile(dataDir: string): void {
  rmSync(fileIn(dataDir), { force: true });
}

const fileIn = (dataDir: string): string => path.join(dataDir, 'dev.json');

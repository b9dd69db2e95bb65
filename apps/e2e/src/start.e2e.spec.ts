import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RestClient, type SeenDelivery, waitFor } from '@posthaste/test-kit';
import { type DevFile, isRunning, RunningStandalone, standalonePorts } from './running-standalone.js';

/** Stopping may take this long, and not longer. */
const STOP_MS = 25_000;

describe('npm start', () => {
  let root: string;
  let dataDir: string;
  let ports: Record<string, string>;
  let started: RunningStandalone[];

  beforeEach(async () => {
    root = mkdtempSync(path.join(os.tmpdir(), 'posthaste-start-'));
    // PostgreSQL may run as another user and has to pass through.
    chmodSync(root, 0o755);
    dataDir = path.join(root, 'data');
    ports = await standalonePorts();
    started = [];
  });
  afterEach(async () => {
    for (const one of started) {
      one.signal('SIGINT');
      await one.whenEnded();
    }
    rmSync(root, { recursive: true, force: true });
  }, 60_000);

  function start(): RunningStandalone {
    const running = new RunningStandalone(dataDir, ports);
    started.push(running);
    return running;
  }

  async function stopped(running: RunningStandalone, { processes }: DevFile): Promise<void> {
    running.signal('SIGINT');
    await waitFor(() => !isRunning(running.pid), { deadlineMs: STOP_MS, what: 'the end after SIGINT' });
    expect(await running.whenEnded()).toBe(0);
    expect(Object.entries(processes).filter(([, pid]) => isRunning(pid))).toEqual([]);
    expect(existsSync(path.join(dataDir, 'dev.json'))).toBe(false);
  }

  const demoDeliveries = ({ url, tenants }: DevFile): Promise<SeenDelivery[]> =>
    new RestClient(url, tenants[0]?.key).all('/v1/accounts/demo/deliveries');

  it('delivers a message, says where everything is, ends without a trace, and finds its data again', async () => {
    const first = start();
    const dev = await first.whenReady(120_000);
    expect(Object.keys(dev).sort()).toEqual(['keys', 'operatorKey', 'processes', 'tenants', 'url']);
    expect(dev.url).toBe(`http://127.0.0.1:${ports['POSTHASTE_PORT']}`);
    expect(dev.tenants).toEqual([
      { id: expect.stringMatching(/^ten_/) as unknown, key: expect.stringMatching(/^ph_tenant_/) as unknown },
    ]);
    expect(Object.keys(dev.keys).sort()).toEqual(['ada', 'linkup', 'middesk']);
    expect(Object.keys(dev.processes)).toEqual(
      expect.arrayContaining(['management-api', 'dispatcher', 'retry-scheduler', 'audit-log']),
    );
    expect(Object.values(dev.processes).every(isRunning)).toBe(true);
    const tenants = await new RestClient(dev.url, dev.operatorKey).all<{ id: string }>('/v1/tenants');
    expect(tenants.map(({ id }) => id)).toEqual([dev.tenants[0]?.id]);
    const [delivery] = await demoDeliveries(dev);
    expect(delivery).toMatchObject({ status: 'delivered', attempts: 1 });
    await stopped(first, dev);

    const second = start();
    const again = await second.whenReady();
    const readyMs = Date.now() - second.startedAt;
    console.log(`the second start took ${readyMs} ms`);
    expect({ ...again, processes: {} }).toEqual({ ...dev, processes: {} });
    expect((await demoDeliveries(again)).map(({ id }) => id)).toContain(delivery?.id);
    await stopped(second, again);
  }, 240_000);

  it('ends its processes although it was killed itself, and starts again over what it left', async () => {
    const first = start();
    const dev = await first.whenReady(120_000);
    first.signal('SIGKILL');
    await first.whenEnded();
    const again = await start().whenReady(120_000);
    expect(again.tenants).toEqual(dev.tenants);
    expect(Object.values(dev.processes).filter((pid) => isRunning(pid))).toEqual([]);
    expect(Object.values(again.processes).every(isRunning)).toBe(true);
  }, 240_000);

  it('says in one line which port is taken, and what to do', async () => {
    const other: Server = createServer();
    await new Promise<void>((resolve) => other.listen(Number(ports['POSTHASTE_PORT']), '127.0.0.1', resolve));
    try {
      const running = start();
      expect(await running.whenEnded()).toBe(1);
      const complaint = running.output.split('\n').filter((line) => line.includes('✗'));
      expect(complaint).toEqual([expect.stringContaining(`port ${ports['POSTHASTE_PORT']} is taken`)]);
      expect(running.output).toContain('POSTHASTE_PORT=');
      expect(running.output).not.toMatch(/^\s+at /m);
    } finally {
      other.close();
    }
  }, 120_000);

  it('makes good an initialisation that was cut short', async () => {
    mkdirSync(path.join(dataDir, 'postgres.new/base'), { recursive: true });
    mkdirSync(path.join(dataDir, 'logs'));
    const dev = await start().whenReady(120_000);
    expect((await demoDeliveries(dev)).map(({ status }) => status)).toEqual(['delivered']);
  }, 180_000);
});

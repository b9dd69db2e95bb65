import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePorts, startTimeOf } from '@posthaste/local-stack';

const root = path.resolve(import.meta.dirname, '../../..');

interface DevFile {
  url: string;
  operatorKey: string;
  tenants: { id: string; key: string }[];
  keys: Record<string, string | null>;
  processes: Record<string, number>;
}

/** `npm start` as a person meets it: through tools/start.mjs, with Ctrl-C, a crash, a second try. */
describe('npm start', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-start-'));
  const dataDir = path.join(folder, 'data');
  let env: Record<string, string | undefined>;
  const started: { child: ChildProcess; ended: Promise<number | null> }[] = [];

  beforeAll(async () => {
    chmodSync(folder, 0o755);
    const [api, history, play, postgres] = await freePorts(4);
    const ops = await fourPortsInARow();
    env = {
      ...process.env,
      POSTHASTE_DATA_DIR: dataDir,
      POSTHASTE_PORT: String(api),
      POSTHASTE_HISTORY_PORT: String(history),
      POSTHASTE_OPS_PORT: String(ops),
      POSTHASTE_PLAY_PORT: String(play),
      POSTHASTE_POSTGRES_PORT: String(postgres),
      POSTHASTE_LOG: 'postgres',
      DATABASE_URL: '',
    };
  });
  afterEach(async () => {
    for (const { child, ended } of started.splice(0)) {
      child.kill('SIGTERM');
      await ended;
    }
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function start(changed: Record<string, string> = {}, args: string[] = []) {
    const program = [path.join(root, 'tools/start.mjs'), ...args];
    const child = spawn(process.execPath, program, { cwd: root, env: { ...env, ...changed }, stdio: 'pipe' });
    let said = '';
    let heard = (): void => undefined;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        heard();
      });
    }
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    started.push({ child, ended });
    const saying = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        heard = () => said.includes(text) && resolve(said);
        heard();
        void ended.then((code) => reject(new Error(`ended with ${code} after saying:\n${said}`)));
      });
    return { child, ended, saying, said: () => said };
  }

  const devFile = (): DevFile => JSON.parse(readFileSync(path.join(dataDir, 'dev.json'), 'utf8')) as DevFile;
  const messages = async ({ url, tenants }: DevFile): Promise<unknown[]> => {
    const response = await fetch(`${url}/v1/accounts/demo-account/messages`, {
      headers: { authorization: `Bearer ${tenants[0]?.key ?? ''}` },
    });
    return ((await response.json()) as { data: unknown[] }).data;
  };

  it('delivers a signed message at the first start, and Ctrl-C leaves nothing running', async () => {
    const run = start();
    const said = await run.saying('Ctrl-C stops everything');
    expect(said).toMatch(/Message msg_\w{27} was delivered in \d+ ms; its signature is valid; .* 1 attempt/);
    const dev = devFile();
    expect(Object.keys(dev)).toEqual(['url', 'operatorKey', 'tenants', 'keys', 'processes']);
    expect(dev.keys).toEqual({ ada: null, linkup: null, middesk: null });
    expect(Object.keys(dev.processes)).toEqual(
      expect.arrayContaining(['management-api', 'dispatcher', 'retry-scheduler', 'audit-log']),
    );
    expect(statSync(path.join(dataDir, 'dev.json')).mode & 0o777).toBe(0o600);
    expect(await messages(dev)).toHaveLength(1);
    run.child.kill('SIGINT');
    expect(await run.ended).toBe(0);
    expect(Object.values(dev.processes).map(startTimeOf).filter(Boolean)).toEqual([]);
    expect(existsSync(path.join(dataDir, 'dev.json'))).toBe(false);
  }, 180_000);

  it('finds its data at the second start and publishes nothing, unless asked', async () => {
    const second = start();
    expect(await second.saying('Ctrl-C stops everything')).not.toContain('was delivered');
    expect(await messages(devFile())).toHaveLength(1);
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    const third = start({}, ['--publish']);
    expect(await third.saying('Ctrl-C stops everything')).toContain('its signature is valid');
    expect(await messages(devFile())).toHaveLength(2);
  }, 180_000);

  it('starts again what is killed, and says so in dev.json', async () => {
    const run = start();
    await run.saying('Ctrl-C stops everything');
    const before = devFile().processes['dispatcher'] ?? 0;
    process.kill(before, 'SIGKILL');
    await run.saying('dispatcher ended (SIGKILL)');
    while (devFile().processes['dispatcher'] === undefined) await new Promise(setImmediate);
    expect(devFile().processes['dispatcher']).not.toBe(before);
  }, 180_000);

  it('refuses to run twice on one folder, and names a port that is taken', async () => {
    const run = start();
    await run.saying('Ctrl-C stops everything');
    const twice = start();
    expect(await twice.ended).toBe(1);
    expect(twice.said()).toContain(`Posthaste already runs on ${dataDir}`);
    const elsewhere = start({ POSTHASTE_DATA_DIR: path.join(folder, 'other'), POSTHASTE_POSTGRES_PORT: '0' });
    expect(await elsewhere.ended).toBe(1);
    expect(elsewhere.said()).toContain('POSTHASTE_POSTGRES_PORT');
    const taken = start({
      POSTHASTE_DATA_DIR: path.join(folder, 'other'),
      DATABASE_URL: 'postgres://x@localhost/x',
    });
    expect(await taken.ended).toBe(1);
    expect(taken.said()).toMatch(/port \d+ is taken by another process\n.*POSTHASTE_\w+=\d+ npm start/);
  }, 180_000);

  it('comes up after kill -9 of everything that watches over it', async () => {
    const run = start();
    await run.saying('Ctrl-C stops everything');
    const { processes } = devFile();
    const lock = JSON.parse(readFileSync(path.join(dataDir, 'lock'), 'utf8')) as { pid: number };
    process.kill(lock.pid, 'SIGKILL');
    await run.ended;
    const again = start();
    await again.saying('Ctrl-C stops everything');
    expect(Object.values(processes).map(startTimeOf).filter(Boolean)).toEqual([]);
    expect(await messages(devFile())).toHaveLength(2);
  }, 180_000);
});

/** The services' ops ports follow each other. */
async function fourPortsInARow(): Promise<number> {
  for (;;) {
    const [first = 0] = await freePorts(1);
    const rest = await Promise.all([1, 2, 3].map((next) => isFree(first + next)));
    if (rest.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((answer) => {
    probe.once('error', () => answer(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => answer(true)));
  });
}

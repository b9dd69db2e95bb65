import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { startTimeOf } from '@posthaste/local-stack';
import { kafkaForTests, RestClient, type SeenDelivery, waitFor } from '@posthaste/test-kit';
import { type DevFile, hasStopped, RunningStandalone, standaloneEnvironment } from './running-standalone.js';

/** What stopping may take. */
const STOP_MS = 25_000;
const START_MS = 180_000;
const services = ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log'];
const root = path.resolve(import.meta.dirname, '../../..');
const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;

jest.setTimeout(START_MS);

/** `npm start` as a person meets it: npm itself, the keys they press, and what can be wrong with their machine. */
describe('npm start', () => {
  let folder: string;
  let dataDir: string;
  let env: Record<string, string>;
  let started: RunningStandalone[];

  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-start-'));
    // PostgreSQL may run as another user and has to pass through.
    chmodSync(folder, 0o755);
    dataDir = path.join(folder, 'data');
    env = await standaloneEnvironment(dataDir);
    started = [];
  });
  afterEach(async () => {
    for (const one of started) {
      one.signalGroup('SIGINT');
      await one.whenEnded();
    }
    const isUnlocked = (): boolean => !existsSync(path.join(dataDir, 'lock'));
    await waitFor(isUnlocked, { deadlineMs: STOP_MS, what: 'the end of the stack' });
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  function start(changed: Record<string, string> = {}, args: string[] = []): RunningStandalone {
    const running = new RunningStandalone({ ...env, ...changed }, args);
    started.push(running);
    return running;
  }

  const whenStopped = (dev: DevFile): Promise<true> =>
    waitFor(() => hasStopped(dataDir, dev), { deadlineMs: STOP_MS, what: 'the end of every process' });

  const demoDeliveries = ({ url, tenants }: DevFile): Promise<SeenDelivery[]> =>
    new RestClient(url, tenants[0]?.key).all('/v1/accounts/demo-account/deliveries');

  /** The one line that says what is wrong, and the one that says what to do. */
  async function complaintOf(running: RunningStandalone): Promise<{ problem: string; advice: string }> {
    expect(await running.whenEnded()).toBe(1);
    const lines = running.output.split('\n');
    // A step that failed is marked too; it ends in the time it took.
    const problems = lines.filter((line) => line.startsWith('  ✗ ') && !/\(\d+\.\d s\)$/.test(line));
    const advice = lines.filter((line) => line.startsWith('    → '));
    expect([problems.length, advice.length]).toEqual([1, 1]);
    expect(running.output).not.toMatch(/^\s+at /m);
    return { problem: problems[0] ?? '', advice: advice[0] ?? '' };
  }

  it('delivers a message, says where everything is, ends at Ctrl-C without a trace, and finds its data again', async () => {
    const first = start();
    const dev = await first.whenReady();
    expect(first.output).toMatch(
      /Message msg_\w{27} was delivered in \d+ ms; its signature is valid; .* 1 attempt/,
    );
    expect(Object.keys(dev)).toEqual(['url', 'operatorKey', 'tenants', 'keys', 'processes', 'ops']);
    expect(dev.url).toBe(`http://127.0.0.1:${env['POSTHASTE_PORT']}`);
    expect(dev.keys).toEqual({
      ada: expect.stringMatching(/^ph_account_/) as unknown,
      linkup: expect.stringMatching(/^ph_tenant_/) as unknown,
      middesk: expect.stringMatching(/^ph_account_/) as unknown,
    });
    expect(Object.keys(dev.processes)).toEqual(expect.arrayContaining(services));
    expect(Object.values(dev.processes).map(startTimeOf)).not.toContain(undefined);
    expect(statSync(path.join(dataDir, 'dev.json')).mode & 0o777).toBe(0o600);
    const tenants = await new RestClient(dev.url, dev.operatorKey).all<{ id: string }>('/v1/tenants');
    expect(tenants.map(({ id }) => id)).toEqual(dev.tenants.map(({ id }) => id));
    expect(await demoDeliveries(dev)).toMatchObject([{ status: 'delivered', attempts: 1 }]);

    first.signalGroup('SIGINT');
    // npm waits for the whole stack: when the prompt is back, nothing runs any more.
    expect(await first.whenEnded()).toBe(0);
    expect(hasStopped(dataDir, dev)).toBe(true);
    expect(existsSync(path.join(dataDir, 'dev.json'))).toBe(false);

    const second = start();
    const again = await second.whenReady();
    console.log(`the second start took ${Date.now() - second.startedAt} ms`);
    expect({ ...again, processes: {} }).toEqual({ ...dev, processes: {} });
    expect(second.output).not.toContain('was delivered');
    expect(await demoDeliveries(again)).toHaveLength(1);
    second.signal('SIGTERM');
    expect(await second.whenEnded()).toBe(0);
    expect(hasStopped(dataDir, again)).toBe(true);

    // As an older version left it.
    const demoFile = path.join(dataDir, 'demo.json');
    const { keys, ...older } = JSON.parse(readFileSync(demoFile, 'utf8')) as Pick<DevFile, 'keys'>;
    writeFileSync(demoFile, JSON.stringify(older));
    const third = start({}, ['--publish']);
    const later = await third.whenReady();
    for (const name of ['ada', 'linkup', 'middesk'] as const) {
      expect(later.keys[name]).not.toBe(keys[name]);
      const { status } = await new RestClient(later.url, later.keys[name]).get('/v1/event-types');
      expect([name, status]).toEqual([name, 200]);
    }
    expect(third.output).toContain('its signature is valid');
    expect(await demoDeliveries(later)).toHaveLength(2);
  });

  it('leaves nothing running when npm is killed, or its terminal closed', async () => {
    const first = start();
    const dev = await first.whenReady();
    first.signal('SIGKILL');
    await whenStopped(dev);
    const second = start();
    const again = await second.whenReady();
    second.signalGroup('SIGHUP');
    await whenStopped(again);
  });

  it('starts again what dies, and comes up after kill -9 of everything that watches over it', async () => {
    const first = start();
    const dev = await first.whenReady();
    process.kill(dev.processes['dispatcher'] ?? 0, 'SIGKILL');
    await first.whenSaying('dispatcher ended (SIGKILL); starting it again');
    // The file is written a moment after the line.
    const isReplaced = () =>
      ![undefined, 0, dev.processes['dispatcher']].includes(first.devFile().processes['dispatcher']);
    await waitFor(isReplaced, { what: 'its new pid' });
    const { processes } = first.devFile();

    const lock = JSON.parse(readFileSync(path.join(dataDir, 'lock'), 'utf8')) as { pid: number };
    process.kill(lock.pid, 'SIGKILL');
    first.signalGroup('SIGKILL');
    await first.whenEnded();
    const again = await start().whenReady();
    expect(Object.values(processes).map(startTimeOf).filter(Boolean)).toEqual([]);
    expect(again.tenants).toEqual(dev.tenants);
    expect(await demoDeliveries(again)).toHaveLength(1);
  });

  it('refuses to run twice on one folder', async () => {
    await start().whenReady();
    const { problem, advice } = await complaintOf(start());
    expect(problem).toContain(`Posthaste already runs on ${dataDir}`);
    expect(advice).toContain(path.join(dataDir, 'dev.json'));
  });

  it.each(['POSTHASTE_PORT', 'POSTHASTE_PLAY_PORT', 'POSTHASTE_POSTGRES_PORT'])(
    'says that the port of %s is taken, and how to choose another',
    async (variable) => {
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(Number(env[variable]), '127.0.0.1', resolve));
      const { problem, advice } = await complaintOf(start()).finally(() => other.close());
      expect(problem).toContain(`port ${env[variable]} is taken`);
      expect(advice).toContain(`${variable}=`);
    },
  );

  it.each([
    [
      { POSTHASTE_LOG: 'kafka', KAFKA_BROKERS: 'nonsense' },
      'nonsense: is not host:port',
      'npm run start:kafka',
    ],
    [{ POSTHASTE_LOG: 'kafka', KAFKA_BROKERS: '127.0.0.1:1' }, '127.0.0.1:1: ECONNREFUSED', 'KAFKA_BROKERS'],
    [
      { DATABASE_URL: 'postgres://x@127.0.0.1:1/x' },
      'PostgreSQL does not answer at 127.0.0.1:1',
      'DATABASE_URL',
    ],
  ])('says that a server of the user is not there: %j', async (changed, words, remedy) => {
    const { problem, advice } = await complaintOf(start(changed));
    expect(problem).toContain(words);
    expect(advice).toContain(remedy);
  });

  it('makes good an initialisation that was cut short', async () => {
    mkdirSync(path.join(dataDir, 'postgres.new/base'), { recursive: true });
    mkdirSync(path.join(dataDir, 'logs'));
    const dev = await start().whenReady();
    expect((await demoDeliveries(dev)).map(({ status }) => status)).toEqual(['delivered']);
  });

  const kafka = kafkaForTests()?.startOwn;
  const withKafka = kafka === undefined ? it.skip : it;
  withKafka('keeps its log in the Kafka it is pointed at, and finds it again', async () => {
    const broker = await kafka?.({});
    const changed = { POSTHASTE_LOG: 'kafka', KAFKA_BROKERS: broker?.bootstrap.join(',') ?? '' };
    try {
      const first = start(changed);
      const dev = await first.whenReady();
      expect(first.output).toContain('its signature is valid');
      first.signalGroup('SIGINT');
      expect(await first.whenEnded()).toBe(0);
      const second = start(changed, ['--publish']);
      const again = await second.whenReady();
      expect(second.output).toContain('its signature is valid');
      expect(again.tenants).toEqual(dev.tenants);
      expect(await demoDeliveries(again)).toHaveLength(2);
      second.signalGroup('SIGINT');
      await second.whenEnded();
    } finally {
      await broker?.stop();
    }
  });

  const underRoot = isRoot ? it : it.skip;
  underRoot('as root in a closed folder keeps its database elsewhere, and says so', async () => {
    chmodSync(folder, 0o700);
    const running = start();
    const dev = await running.whenReady();
    const place = / in (\/\S+), since nobody may not enter (\S+)/.exec(running.output);
    expect(place?.[2]).toBe(folder);
    expect(await demoDeliveries(dev)).toHaveLength(1);
    running.signalGroup('SIGINT');
    await running.whenEnded();
    rmSync(path.dirname(place?.[1] ?? ''), { recursive: true });
  });

  const underRootInTheOpen = isRoot && isOpenToAll(root) ? it : it.skip;
  underRootInTheOpen('runs as an ordinary user', async () => {
    mkdirSync(dataDir);
    chownSync(dataDir, NOBODY, NOBODY);
    const program = path.join(root, 'dist/apps/standalone/main.js');
    const running = new RunningStandalone({ ...env, HOME: dataDir }, [], {
      program: process.execPath,
      args: [program],
      as: { uid: NOBODY, gid: NOBODY },
    });
    started.push(running);
    const dev = await running.whenReady();
    expect(statSync(`/proc/${dev.processes['dispatcher']}`).uid).toBe(NOBODY);
    expect(await demoDeliveries(dev)).toHaveLength(1);
    running.signalGroup('SIGINT');
    expect(await running.whenEnded()).toBe(0);
    expect(hasStopped(dataDir, dev)).toBe(true);
  });
});

function isOpenToAll(folder: string): boolean {
  const mayPass = (statSync(folder).mode & 0o005) === 0o005;
  return mayPass && (folder === path.parse(folder).root || isOpenToAll(path.dirname(folder)));
}

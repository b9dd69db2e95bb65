import { execFileSync, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePorts } from './free-ports.js';
import { hasGone, startTimeOf } from './leftovers.js';
import type { ProcessSpec } from './supervised-process.js';
import { Supervisor } from './supervisor.js';

/** A service in small: ready at once, says when and why it ends, and ends when its supervisor is gone. */
const PROGRAM = `
import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
const { PORT, NAME, DIARY, STUBBORN } = process.env;
const end = (why) => { appendFileSync(DIARY, NAME + ' ' + why + '\\n'); if (!STUBBORN) process.exit(0); };
process.on('SIGTERM', () => end('SIGTERM'));
process.stdin.on('close', () => end('stdin')).resume();
console.log(NAME + ' is up');
createServer((_, response) => response.end()).listen(Number(PORT), '127.0.0.1');
`;

/** A supervisor as a process of its own, to be killed: starts what it is sent and answers with the pids. */
const SUPERVISOR_PROGRAM = `
import { Supervisor } from '${path.join(import.meta.dirname, 'supervisor.ts')}';
process.on('message', async ({ dataDir, specs }) => {
  const supervisor = await Supervisor.create({ dataDir });
  await Promise.all(specs.map((spec) => supervisor.start(spec)));
  process.send(supervisor.pids());
});
`;

describe('the supervisor', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-supervisor-'));
  const program = path.join(folder, 'program.mjs');
  const supervisorProgram = path.join(folder, 'supervisor.mjs');
  const diary = path.join(folder, 'diary');
  let supervisor: Supervisor | undefined;

  const spec = async (name: string, env: Record<string, string> = {}): Promise<ProcessSpec> => {
    const [port = 0] = await freePorts(1);
    return {
      name,
      args: [program],
      env: { PORT: String(port), NAME: name, DIARY: diary, ...env },
      readyUrl: `http://127.0.0.1:${port}/`,
    };
  };
  const diaryLines = (): string[] => readFileSync(diary, 'utf8').split('\n').filter(Boolean);

  beforeAll(() => {
    writeFileSync(program, PROGRAM);
    const source = path.join(folder, 'supervisor-source.mjs');
    writeFileSync(source, SUPERVISOR_PROGRAM);
    // The bundler's own program: its API does not take what Jest's sandbox makes.
    const rolldown = path.join(import.meta.dirname, '../../../node_modules/rolldown/bin/cli.mjs');
    execFileSync(process.execPath, [rolldown, source, '--file', supervisorProgram, '--platform', 'node'], {
      stdio: 'pipe',
    });
  });

  afterEach(async () => {
    await supervisor?.stop();
    supervisor = undefined;
    writeFileSync(diary, '');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('starts a process again each time kill -9 takes it, and says so', async () => {
    const changes: string[] = [];
    supervisor = await Supervisor.create({
      dataDir: folder,
      onChange: (name, change) =>
        changes.push(change.kind === 'spawned' ? `${name} up` : `${name} ${change.how}`),
    });
    const worker = await supervisor.start(await spec('worker'));
    const pids = [worker.pid];
    for (let round = 0; round < 2; round++) {
      await worker.kill('SIGKILL');
      await supervisor.whenReady();
      pids.push(worker.pid);
    }
    expect(new Set(pids).size).toBe(3);
    expect(changes).toEqual(['worker up', 'worker SIGKILL', 'worker up', 'worker SIGKILL', 'worker up']);
    expect(readFileSync(path.join(folder, 'logs/worker.log'), 'utf8')).toBe('worker is up\n'.repeat(3));
  }, 30_000);

  it('stops by SIGTERM, kills what does not listen, and leaves nothing', async () => {
    supervisor = await Supervisor.create({ dataDir: folder });
    await supervisor.start(await spec('first'));
    await supervisor.start(await spec('second'));
    await supervisor.start(await spec('stubborn', { STUBBORN: '1' }));
    const pids = Object.values(supervisor.pids());
    await supervisor.stop(1_000);
    expect(supervisor.pids()).toEqual({});
    expect(pids.map(startTimeOf)).toEqual([undefined, undefined, undefined]);
    expect(diaryLines()).toContain('stubborn SIGTERM');
    expect(diaryLines()).toEqual(expect.arrayContaining(['first SIGTERM', 'second SIGTERM']));
  }, 30_000);

  it('keeps a stopped process down until it is started', async () => {
    supervisor = await Supervisor.create({ dataDir: folder });
    const worker = await supervisor.start(await spec('worker'));
    const before = worker.pid;
    await worker.stop();
    expect(supervisor.pids()).toEqual({});
    await worker.start();
    expect(worker.pid).not.toBe(before);
  }, 30_000);

  it('stops a process that hangs in SIGSTOP', async () => {
    supervisor = await Supervisor.create({ dataDir: folder });
    const worker = await supervisor.start(await spec('frozen'));
    await worker.kill('SIGSTOP');
    await worker.stop();
    expect(diaryLines()).toEqual(['frozen SIGTERM']);
  }, 30_000);

  it('gives up on a process that cannot start, with its last words', async () => {
    writeFileSync(path.join(folder, 'broken.mjs'), `console.error('no database'); process.exit(1);`);
    supervisor = await Supervisor.create({ dataDir: folder });
    const broken = { ...(await spec('broken')), args: [path.join(folder, 'broken.mjs')] };
    await expect(supervisor.start(broken)).rejects.toMatchObject({
      code: 'not_ready',
      message: expect.stringContaining('no database') as unknown,
      hint: expect.stringContaining('broken.log') as unknown,
    });
  }, 30_000);

  it('takes its processes with it when it is killed -9', async () => {
    const pids = Object.values(await runAndKillSupervisor([await spec('left'), await spec('right')]));
    expect(pids).toHaveLength(2);
    expect(await Promise.all(pids.map((pid) => hasGone(pid, 10_000)))).toEqual([true, true]);
    expect(diaryLines().sort()).toEqual(['left stdin', 'right stdin']);
  }, 30_000);

  it('ends what a killed supervisor of the same folder left, even if it does not listen', async () => {
    const stubborn = await spec('stubborn', { STUBBORN: '1' });
    const { stubborn: pid = 0 } = await runAndKillSupervisor([stubborn]);
    expect(startTimeOf(pid)).toBeDefined();
    supervisor = await Supervisor.create({ dataDir: folder });
    expect(startTimeOf(pid)).toBeUndefined();
    // The port is free again.
    await supervisor.start({ ...stubborn, env: { ...stubborn.env, STUBBORN: '' } });
  }, 60_000);

  async function runAndKillSupervisor(specs: ProcessSpec[]): Promise<Record<string, number>> {
    const owner = fork(supervisorProgram, { execArgv: [] });
    const answered = new Promise<Record<string, number>>((resolve) => {
      owner.once('message', (pids) => resolve(pids as Record<string, number>));
    });
    owner.send({ dataDir: folder, specs });
    const pids = await answered;
    const ended = new Promise((resolve) => owner.once('exit', resolve));
    owner.kill('SIGKILL');
    await ended;
    return pids;
  }
});

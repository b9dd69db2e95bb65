import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.js';
import { freePorts } from './free-ports.js';

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('embedded PostgreSQL', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-pg-'));
  // mkdtemp makes it 0700; the server's user must pass through.
  const open = path.join(folder, 'open');
  let server: EmbeddedPostgres;

  beforeAll(async () => {
    mkdirSync(open);
    (await import('node:fs')).chmodSync(folder, 0o755);
    server = await startEmbeddedPostgres({
      dataDir: path.join(open, 'data'),
      settings: { max_connections: 20 },
    });
  }, 60_000);

  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('takes settings, and keeps its data over a kill -9 and a restart on the same port', async () => {
    expect(await query(server.url, 'show max_connections')).toEqual([{ max_connections: '20' }]);
    await query(server.url, 'create table kept (n int); insert into kept values (7)');
    const before = server.pid;
    await server.kill('SIGKILL');
    await server.restart();
    expect(server.pid).not.toBe(before);
    expect(await query(server.url, 'select n from kept')).toEqual([{ n: 7 }]);
  }, 60_000);

  it('says that an earlier server of the folder still runs, and which process it is', async () => {
    await expect(startEmbeddedPostgres({ dataDir: path.join(open, 'data') })).rejects.toMatchObject({
      code: 'already_running',
      pid: server.pid,
      hint: `stop it first: kill -INT ${server.pid}`,
    });
  }, 60_000);

  it('starts although a pid file names a living process that is no PostgreSQL', async () => {
    await server.stop();
    writeFileSync(path.join(open, 'data/postmaster.pid'), `${process.pid}\n`);
    await server.restart();
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  }, 60_000);

  it('initialises again what a died initialisation left, and leaves nothing of itself when it is stopped', async () => {
    const owner = process.listenerCount('exit');
    const dataDir = path.join(open, 'half');
    mkdirSync(`${dataDir}.new/base`, { recursive: true });
    const healed = await startEmbeddedPostgres({ dataDir });
    expect(await query(healed.url, 'select current_database() as name')).toEqual([{ name: 'posthaste' }]);
    await healed.stop();
    expect(process.listenerCount('exit')).toBe(owner);
  }, 60_000);

  it('refuses a folder with other files and a database without its heart, and leaves them as they are', async () => {
    const foreign = path.join(open, 'foreign');
    mkdirSync(foreign);
    writeFileSync(path.join(foreign, 'diary.txt'), 'mine');
    await expect(startEmbeddedPostgres({ dataDir: foreign })).rejects.toMatchObject({
      code: 'folder_unusable',
    });
    const broken = path.join(open, 'broken');
    mkdirSync(path.join(broken, 'base'), { recursive: true });
    await expect(startEmbeddedPostgres({ dataDir: broken })).rejects.toMatchObject({
      code: 'folder_unusable',
      hint: expect.stringContaining('.old') as unknown,
    });
  });

  it('says that its port is taken', async () => {
    const [port = 0] = await freePorts(1);
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    const dataDir = path.join(open, 'port');
    await expect(startEmbeddedPostgres({ dataDir, port })).rejects.toMatchObject({ code: 'port_in_use' });
    other.close();
  }, 60_000);

  const underRoot = process.getuid?.() === 0 ? it : it.skip;
  underRoot('says which closed parent folder keeps the server from its data', async () => {
    const closed = mkdtempSync(path.join(os.tmpdir(), 'posthaste-closed-'));
    await expect(startEmbeddedPostgres({ dataDir: path.join(closed, 'data') })).rejects.toMatchObject({
      code: 'folder_closed',
      message: expect.stringContaining(closed) as unknown,
    });
    rmSync(closed, { recursive: true });
  });
});

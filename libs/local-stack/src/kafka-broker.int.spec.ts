import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { kafkaAvailable, type LocalKafka, startKafka } from './index.js';

const suite = kafkaAvailable() ? describe : describe.skip;

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    if (tries > 300) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

suite('a local Kafka', () => {
  let kafka: LocalKafka;
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'posthaste-kafka-spec-'));

  beforeAll(async () => {
    kafka = await startKafka({ dataDir });
  }, 120_000);

  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  it('answers on its port, dies by SIGKILL and comes back on the same port', async () => {
    const [node] = kafka.nodes;
    if (!node) throw new Error('no node');
    expect(kafka.bootstrap).toEqual([`127.0.0.1:${node.port}`]);
    expect(await answers(node.port)).toBe(true);
    const first = node.pid as number;
    await node.kill('SIGKILL');
    expect(isAlive(first)).toBe(false);
    expect(await answers(node.port)).toBe(false);
    await node.start();
    expect(node.pid).not.toBe(first);
    expect(await answers(node.port)).toBe(true);
  }, 60_000);

  it('stops, keeps the data it was given a folder for, and starts again on it', async () => {
    await kafka.stop();
    expect(existsSync(path.join(dataDir, 'node-1', 'meta.properties'))).toBe(true);
    kafka = await startKafka({ dataDir });
    await kafka.stop();
    expect(kafka.nodes.every((node) => node.pid !== undefined && !isAlive(node.pid))).toBe(true);
  }, 60_000);

  it('does not outlive an owner killed by SIGKILL, nor leave its folder', async () => {
    const tmp = mkdtempSync(path.join(os.tmpdir(), 'posthaste-kafka-owner-'));
    const bundles = mkdtempSync(path.join(os.tmpdir(), 'posthaste-kafka-bundle-'));
    // From a bundle, as the services run it.
    const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
      env: {
        PATH: process.env['PATH'],
        HOME: os.homedir(),
        TMPDIR: tmp,
        BUNDLE: path.join(bundles, 'kafka.mjs'),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = await new Promise<string>((resolve) =>
      owner.stdout.once('data', (d: Buffer) => resolve(d.toString())),
    );
    const pid = Number(said);
    expect(isAlive(pid)).toBe(true);
    owner.kill('SIGKILL');
    await until('the end of the node', () => !isAlive(pid));
    await until('the end of its folder', () => readdirSync(tmp).length === 0);
    for (const folder of [tmp, bundles]) rmSync(folder, { recursive: true });
  }, 60_000);
});

const OWNER = `
import { rolldown } from 'rolldown';
const bundle = await rolldown({ input: ${JSON.stringify(path.join(import.meta.dirname, 'kafka-broker.ts'))}, platform: 'node' });
await bundle.write({ file: process.env.BUNDLE, format: 'esm' });
const { startKafka } = await import(process.env.BUNDLE);
const kafka = await startKafka();
console.log(kafka.nodes[0].pid);
setInterval(() => undefined, 1000);
`;

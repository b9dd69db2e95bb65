import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { serviceNodeFlags } from '@posthaste/local-stack';
import { waitFor } from '@posthaste/test-kit';
import { RunningStandalone, standaloneEnvironment } from './running-standalone.js';

/** What README tells people to type is typed here, in one shell after the other, beside a running `npm start`. */
const root = path.resolve(import.meta.dirname, '../../..');
const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/<!-- tested -->\s+```sh\n(.*?)```/gs)].map(([, code]) => code ?? '');
const [publish, lookUp, ownReceiver, ...others] = blocks;

describe('the README', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-docs-'));
  let running: RunningStandalone;
  /** The variables its first block sets, for those that follow in the same terminal. */
  let setUp: string;

  beforeAll(async () => {
    chmodSync(folder, 0o755);
    running = new RunningStandalone(await standaloneEnvironment(path.join(folder, '.posthaste')));
    await running.whenReady();
    setUp = (publish ?? '')
      .split('\n')
      .filter((line) => /^[A-Z]+=/.test(line))
      .join('\n');
  }, 180_000);
  afterAll(async () => {
    running.signalGroup('SIGINT');
    await running.whenEnded();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  /** The JSON documents the commands printed. */
  async function typed(commands: string): Promise<Record<string, unknown>[]> {
    // One answer a line: none of them ends in a newline.
    const script = `set -e\ncurl() { command curl "$@"; echo; }\n${commands}`;
    const shell = spawn('sh', ['-c', script], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    let complaint = '';
    shell.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    shell.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    const code = await new Promise((resolve) => shell.once('close', resolve));
    expect({ code, complaint }).toMatchObject({ code: 0 });
    return said
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it('has no commands for a shell that are not tried here', () => {
    expect(blocks).toHaveLength(3);
    expect(others).toEqual([]);
    expect(readme.match(/```sh\n/g)).toHaveLength(blocks.length);
  });

  it('publishes a message and finds its delivery', async () => {
    const [accepted] = await typed(publish ?? '');
    expect(accepted).toMatchObject({ id: expect.stringMatching(/^msg_/) as unknown, deliveries: 1 });
    const isDelivered = async (): Promise<boolean> => {
      const [page] = await typed(`${setUp}\n${lookUp}`);
      const deliveries = (page?.['data'] ?? []) as { message_id: string; status: string }[];
      return deliveries.some(
        ({ message_id, status }) => message_id === accepted?.['id'] && status === 'delivered',
      );
    };
    await waitFor(isDelivered, { what: 'the delivery in the list' });
  }, 60_000);

  it('makes an account with an endpoint of its own', async () => {
    const [account, endpoint] = await typed(`${setUp}\n${ownReceiver}`);
    expect(account).toMatchObject({ uid: 'acme', name: 'Acme Inc.' });
    expect(endpoint).toMatchObject({
      id: expect.stringMatching(/^ep_/) as unknown,
      url: 'https://example.com/webhooks',
      event_types: ['invoice.paid'],
    });
  });

  it('has a curl in what npm start prints that works as it is pasted', async () => {
    const command = /^ {4}curl (?:.*\\\n)*.*$/m.exec(running.output)?.[0] ?? '';
    expect(await typed(command)).toMatchObject([{ deliveries: 1 }]);
  });

  it('names the flags of Node that the supervisor gives every service', () => {
    expect(readme).toContain(`NODE_OPTIONS="${serviceNodeFlags.join(' ')}"`);
  });
});

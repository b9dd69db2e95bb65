import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { serviceEnvironment, serviceNodeFlags } from '@posthaste/local-stack';
import { waitFor } from '@posthaste/test-kit';
import { RunningStandalone, standaloneEnvironment } from './running-standalone.js';

/** What README and the guides tell people to type is typed here, in one shell after the other, beside a running `npm start`. */
const root = path.resolve(import.meta.dirname, '../../..');
const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-docs-'));
let running: RunningStandalone;

beforeAll(async () => {
  chmodSync(folder, 0o755);
  running = new RunningStandalone(await standaloneEnvironment(path.join(folder, '.posthaste')));
  await running.whenReady();
}, 180_000);
afterAll(async () => {
  running.signalGroup('SIGINT');
  await running.whenEnded();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

interface Document {
  text: string;
  /** Its blocks of commands that are marked as tested. */
  blocks: string[];
  /** The lines that set variables, indented for pasting. */
  setUp: string;
  /** How many blocks for a shell it has, marked or not. */
  all: number;
}

function documentAt(file: string): Document {
  const text = readFileSync(path.join(root, file), 'utf8');
  const blocks = [...text.matchAll(/<!-- tested -->\s+```sh\n(.*?)```/gs)].map(([, code]) => code ?? '');
  const setUp = [...text.matchAll(/^ {4}([A-Z_]+=.*)$/gm)].map(([, line]) => line ?? '').join('\n');
  return { text, blocks, setUp, all: text.match(/```sh\n/g)?.length ?? 0 };
}

/** What the commands printed. None of them may fail. */
async function typed(commands: string): Promise<string> {
  // One answer a line: none of curl's ends in a newline.
  const curl = 'curl() { command curl "$@"; echo; }';
  const posthaste = `posthaste() { node '${root}/tools/posthaste.mjs' "$@"; }`;
  const script = `set -e\n${curl}\n${posthaste}\n${commands}`;
  const shell = spawn('sh', ['-c', script], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let complaint = '';
  shell.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  shell.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const code = await new Promise((resolve) => shell.once('close', resolve));
  if (code !== 0) throw new Error(`${commands}\nended with ${code as number}:\n${said}\n${complaint}`);
  return said;
}

/** The same of commands that print JSON documents only. */
async function answersTo(commands: string): Promise<Record<string, unknown>[]> {
  return (await typed(commands))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the README', () => {
  const { text: readme, blocks, all } = documentAt('README.md');
  const [publish = '', lookUp, ownReceiver, ...others] = blocks;
  /** The variables its first block sets, for those that follow in the same terminal. */
  const setUp = publish
    .split('\n')
    .filter((line) => /^[A-Z]+=/.test(line))
    .join('\n');

  it('has no commands for a shell that are not tried here', () => {
    expect(blocks).toHaveLength(3);
    expect(others).toEqual([]);
    expect(all).toBe(blocks.length);
  });

  it('publishes a message and finds its delivery', async () => {
    const [accepted] = await answersTo(publish);
    expect(accepted).toMatchObject({ id: expect.stringMatching(/^msg_/) as unknown, deliveries: 1 });
    const isDelivered = async (): Promise<boolean> => {
      const [page] = await answersTo(`${setUp}\n${lookUp}`);
      const deliveries = (page?.['data'] ?? []) as { message_id: string; status: string }[];
      return deliveries.some(
        ({ message_id, status }) => message_id === accepted?.['id'] && status === 'delivered',
      );
    };
    await waitFor(isDelivered, { what: 'the delivery in the list' });
  }, 60_000);

  it('makes an account with an endpoint of its own', async () => {
    const [account, endpoint] = await answersTo(`${setUp}\n${ownReceiver}`);
    expect(account).toMatchObject({ uid: 'acme', name: 'Acme Inc.' });
    expect(endpoint).toMatchObject({
      id: expect.stringMatching(/^ep_/) as unknown,
      url: 'https://example.com/webhooks',
      event_types: ['invoice.paid'],
    });
  });

  it('has a curl in what npm start prints that works as it is pasted', async () => {
    const command = /^ {4}curl (?:.*\\\n)*.*$/m.exec(running.output)?.[0] ?? '';
    expect(await answersTo(command)).toMatchObject([{ deliveries: 1 }]);
  });

  it('names the flags of Node, and what the allocator is told, that the supervisor gives every service', () => {
    const allocator = Object.entries(serviceEnvironment).map(([name, value]) => `\`${name}=${value}\``);
    expect(readme).toContain(
      `\`NODE_OPTIONS="${serviceNodeFlags.join(' ')}"\` and ${allocator.join(' and ')}`,
    );
  });
});

const guides = readdirSync(path.join(root, 'docs')).filter((name) => /^migrate-from-\w+\.md$/.test(name));

describe.each(guides)('docs/%s', (name) => {
  const { blocks, setUp, all } = documentAt(`docs/${name}`);

  it('has no commands for a shell that are not tried here', () => {
    expect(blocks.length).toBeGreaterThan(0);
    expect(all).toBe(blocks.length);
    // Without the f a refusal would be a success.
    expect(blocks.join('\n')).not.toMatch(/\bcurl (?!-sf)/);
  });

  /** Its blocks are typed into one terminal, after the lines that set what they need. */
  it('has commands that work, typed one after the other', async () => {
    const said = await typed([setUp, ...blocks].join('\n'));
    expect(setUp).toContain('POSTHASTE_URL=');
    expect(said.trim()).not.toBe('');
  }, 60_000);
});

describe('docs/cli.md', () => {
  const { blocks, all } = documentAt('docs/cli.md');

  it('has no commands for a shell that are not tried here', () => {
    expect(blocks.length).toBeGreaterThan(0);
    expect(all).toBe(blocks.length);
  });

  it('has commands that work with nothing set up, typed one after the other', async () => {
    const said = await typed(blocks.join('\n'));
    expect(said).toContain('"key","state":"ok"');
  }, 240_000);
});

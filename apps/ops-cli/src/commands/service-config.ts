import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from '../command.js';
import { Failure } from '../failure.js';

const services = ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log'];
const ANSWER_WITHIN_MS = 20_000;

interface Key {
  name: string;
  default: string;
  meaning: string;
}

/** What a service reads from its environment is known to the service alone: the one built beside this program is asked. */
export const serviceConfig: Command = {
  name: 'config',
  says: `what a service reads from its environment: ${services.join(', ')}`,
  takes: { words: '<service>', least: 1, most: 1 },
  options: [],
  run: async ({ words: [service = ''] }) => {
    if (!services.includes(service)) {
      throw new Failure('usage', `there is no service ${service}`, {
        hint: `there are: ${services.join(', ')}`,
      });
    }
    const keys = await described(service);
    return {
      kind: 'data',
      json: { service, keys },
      blocks: [
        {
          titles: ['variable', 'default', 'meaning'],
          rows: keys.map(({ name, default: fallback, meaning }) => [name, fallback || '(none)', meaning]),
        },
      ],
    };
  },
};

async function described(service: string): Promise<Key[]> {
  const main = fileURLToPath(new URL(`../${service}/main.js`, import.meta.url));
  if (!existsSync(main)) {
    throw new Failure('failed', `${service} is not built beside this program`, { hint: 'npm run build' });
  }
  const said = await new Promise<string>((resolve, reject) => {
    const limits = { timeout: ANSWER_WITHIN_MS, maxBuffer: 1_000_000 };
    execFile(process.execPath, [main, '--describe-config'], limits, (error, stdout) => {
      if (error)
        reject(new Failure('failed', `${service} does not say what it reads`, { hint: 'npm run build' }));
      else resolve(stdout);
    });
  });
  return JSON.parse(said) as Key[];
}

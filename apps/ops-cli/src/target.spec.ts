import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cliConfig } from './config.js';
import { type Target, targetOf } from './target.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'posthaste-cli-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function write(file: string, content: unknown, mode = 0o600): void {
  const full = path.join(home, file);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, typeof content === 'string' ? content : JSON.stringify(content));
  chmodSync(full, mode);
}

const profiles = {
  default: 'prod',
  profiles: {
    prod: { url: 'https://hooks.example/', key: 'k-prod', ops: { dispatcher: 'http://10.0.0.5:4103' } },
    test: { url: 'https://test.example', key: 'k-test', account: 'acme' },
  },
};
const dev = { url: 'http://127.0.0.1:4100', tenants: [{ id: 'ten_1', key: 'k-dev' }], processes: {} };

function target(env: Record<string, string> = {}, asked?: string): Target {
  const places = { XDG_CONFIG_HOME: home, POSTHASTE_DATA_DIR: path.join(home, 'data') };
  return targetOf(cliConfig({ ...places, ...env }), asked);
}

describe('the installation a command talks to', () => {
  const both = { POSTHASTE_URL: 'https://env.example', POSTHASTE_KEY: 'k-env' };

  it('is a named profile, else of the environment, else what runs here, else the default profile', () => {
    write('posthaste/profiles.json', profiles);
    expect(target().key).toBe('k-prod');
    write('data/dev.json', dev);
    expect(target().key).toBe('k-dev');
    expect(target(both).key).toBe('k-env');
    expect(target({ ...both, POSTHASTE_PROFILE: 'test' }).key).toBe('k-test');
    expect(target({ ...both, POSTHASTE_PROFILE: 'test' }, 'prod')).toMatchObject({
      key: 'k-prod',
      url: 'https://hooks.example',
      ops: { dispatcher: 'http://10.0.0.5:4103' },
    });
  });

  it('has the account of its profile, unless the environment names one', () => {
    write('posthaste/profiles.json', profiles);
    expect(target({}, 'test').account).toBe('acme');
    expect(target({ POSTHASTE_ACCOUNT: 'other' }, 'test').account).toBe('other');
  });

  it('is told to be exposed when others can read its key', () => {
    write('posthaste/profiles.json', profiles, 0o644);
    expect(target().isExposed).toBe(true);
    chmodSync(path.join(home, 'posthaste/profiles.json'), 0o600);
    expect(target().isExposed).toBe(false);
  });

  it('is asked for when nothing says it', () => {
    expect(() => target()).toThrow('it is not known which installation to talk to');
    expect(() => target({ POSTHASTE_URL: 'https://env.example' })).toThrow('POSTHASTE_KEY is not set');
    expect(() => target({ ...both, POSTHASTE_URL: 'env.example' })).toThrow('POSTHASTE_URL is not an http');
    write('posthaste/profiles.json', profiles);
    expect(() => target({}, 'constructor')).toThrow('there is no profile constructor');
  });

  it('is never guessed from a file that is wrong, and what is wrong is said without its values', () => {
    write('posthaste/profiles.json', { profiles: { prod: { url: 'hunter2', key: 'hunter2' } } });
    const read = () => target({}, 'prod');
    expect(read).toThrow(/profiles.json is not as it should be/);
    expect(read).not.toThrow(/hunter2/);
    write('posthaste/profiles.json', 'hunter2');
    expect(read).toThrow(/is not JSON/);
  });
});

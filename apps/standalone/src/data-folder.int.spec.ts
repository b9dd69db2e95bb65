import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startTimeOf } from '@posthaste/local-stack';
import { claimDataFolder } from './data-folder.js';

describe('the claim on a data folder', () => {
  let folder: string;
  let other: ChildProcess;
  const lock = (): string => path.join(folder, 'lock');

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-claim-'));
    other = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: 'pipe' });
  });
  afterEach(() => {
    other.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  it('is refused while another process holds it, and names that process', () => {
    const pid = other.pid ?? 0;
    writeFileSync(lock(), JSON.stringify({ pid, startedTicks: startTimeOf(pid) }));
    expect(() => claimDataFolder(folder)).toThrow(`as process ${pid}`);
    expect(existsSync(lock())).toBe(true);
  });

  it('is taken over from a process that was killed', async () => {
    const pid = other.pid ?? 0;
    writeFileSync(lock(), JSON.stringify({ pid, startedTicks: startTimeOf(pid) }));
    const ended = new Promise((resolve) => other.once('exit', resolve));
    other.kill('SIGKILL');
    await ended;
    claimDataFolder(folder);
    expect(JSON.parse(readFileSync(lock(), 'utf8'))).toMatchObject({ pid: process.pid });
  });

  it('is taken over when the pid belongs to another process by now', () => {
    writeFileSync(lock(), JSON.stringify({ pid: other.pid, startedTicks: '1' }));
    claimDataFolder(folder);
    expect(JSON.parse(readFileSync(lock(), 'utf8'))).toMatchObject({ pid: process.pid });
  });

  it('is taken over when the lock is damaged', () => {
    writeFileSync(lock(), '{"pid":');
    expect(() => claimDataFolder(folder)).not.toThrow();
  });

  it('can be claimed again once released, and leaves nothing behind', () => {
    claimDataFolder(folder).release();
    claimDataFolder(folder).release();
    expect(existsSync(lock())).toBe(false);
  });

  it('is refused on a disk without room, and leaves nothing behind', () => {
    expect(() => claimDataFolder(folder, Number.MAX_SAFE_INTEGER)).toThrow(/has \d+ MB left/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says that a folder cannot be made', () => {
    writeFileSync(path.join(folder, 'file'), '');
    expect(() => claimDataFolder(path.join(folder, 'file/below'))).toThrow('cannot be used');
  });
});

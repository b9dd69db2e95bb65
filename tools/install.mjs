// What `npm start` and `npm test` need before anything else: the packages of the lock file, and Node 24. Runs on
// Node 20 with nothing installed, so it imports nothing that is not here.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { step } from './progress.mjs';
import { PlainError, root, run } from './run.mjs';

export async function installIfNeeded() {
  if (isInstalled()) return;
  // What NODE_ENV or a user's npm configuration leaves out is needed here: the build tools, Node itself, PostgreSQL.
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  await step('installing packages with npm ci, a minute or two', () => run(npm, args));
}

/** npm writes node_modules/.package-lock.json last, so one that agrees with the lock file means a whole installation. */
function isInstalled() {
  const installedFile = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const installed = packagesOf(installedFile);
  const wanted = Object.entries(packagesOf(path.join(root, 'package-lock.json')));
  return wanted.every(([name, { version, optional }]) => {
    if (name === '' || version === undefined) return true;
    return installed[name] === undefined ? optional === true : installed[name].version === version;
  });
}

const packagesOf = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;

/** The Node that npm installed; else the running one, if it is new enough. */
export function node24() {
  const installed = path.join(root, 'node_modules/.bin/node');
  if (existsSync(installed) && spawnSync(installed, ['--version']).status === 0) return installed;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  throw new PlainError(
    `Node 24 is needed and this is ${process.version}; its package for ${process.platform}-${process.arch} is not installed.\n` +
      '    → install Node 24 or later, or run: npm ci --include=optional',
  );
}

/** The environment in which `node` is Node 24 and the installed programs are found. */
export function toolEnvironment() {
  const bin = path.join(root, 'node_modules/.bin');
  const folders = [bin, path.dirname(node24()), process.env.PATH];
  return { ...process.env, PATH: folders.join(path.delimiter), NX_TUI: 'false' };
}

export function checkNode() {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) throw new PlainError(`Node 20 or later is needed and this is ${process.version}.`);
}

#!/usr/bin/env node
// The `posthaste` command of a clone: runs what the last build made of apps/ops-cli, on the Node 24 that npm installed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { checkNode, node24 } from './install.mjs';
import { PlainError, root } from './run.mjs';

const main = path.join(root, 'dist/apps/ops-cli/main.js');
try {
  checkNode();
  if (!existsSync(main)) {
    throw new PlainError('it is not built yet\n  → npm start builds everything, or: npm run build');
  }
  // Ctrl-C reaches the command as well: its end is waited for.
  process.on('SIGINT', () => undefined);
  const { status, signal } = spawnSync(node24(), [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exitCode = status ?? (signal === 'SIGINT' ? 130 : 1);
} catch (error) {
  console.error(`posthaste: ${error instanceof PlainError ? error.message : error.stack}`);
  process.exitCode = 1;
}

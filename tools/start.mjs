// npm start: installs and builds what is missing or older than its sources, then runs apps/standalone until Ctrl-C.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { checkNode, installIfNeeded, node24, toolEnvironment } from './install.mjs';
import { step } from './progress.mjs';
import { endRunning, onEnd, PlainError, root, run } from './run.mjs';

// Until the stack itself runs and takes its signals.
let stack;
onEnd((signal) => {
  if (stack !== undefined) {
    stack.kill(signal);
    return;
  }
  endRunning(signal);
  process.exit(130);
});

try {
  checkNode();
  await installIfNeeded();
  await buildIfNeeded();
  runStandalone();
} catch (error) {
  console.error(`  ✗ ${error instanceof PlainError ? error.message : error.stack}`);
  process.exit(1);
}

/** Nx would answer from its cache, but takes a second to find out; looking at the sources takes a few milliseconds. */
async function buildIfNeeded() {
  const stamp = path.join(root, 'dist/sources.sha256');
  const sources = hashOfSources();
  const main = path.join(root, 'dist/apps/standalone/main.js');
  if (existsSync(main) && existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return;
  const nx = path.join(root, 'node_modules/nx/dist/bin/nx.js');
  await step('building the services', () =>
    run(node24(), [nx, 'run-many', '-t', 'build'], toolEnvironment()),
  );
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, sources);
}

function hashOfSources() {
  const hash = createHash('sha256');
  const add = (file) => {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${path.relative(root, file)} ${mtimeMs} ${size}\n`);
  };
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )) {
      const full = path.join(folder, entry.name);
      if (entry.isDirectory()) visit(full);
      else if (!entry.name.endsWith('.spec.ts')) add(full);
    }
  };
  visit(path.join(root, 'apps'));
  visit(path.join(root, 'libs'));
  for (const file of ['package-lock.json', 'tsconfig.base.json', 'nx.json', 'tools/build.mjs'])
    add(path.join(root, file));
  return hash.digest('hex');
}

function runStandalone() {
  const main = path.join(root, 'dist/apps/standalone/main.js');
  const args = [main, ...process.argv.slice(2)];
  // In a session of its own: Ctrl-C reaches every process of the terminal's group, and the stack must be stopped by
  // its supervisor, in order. The pipe on its standard input tells it when this process is gone without a word.
  stack = spawn(node24(), args, {
    cwd: root,
    detached: true,
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, POSTHASTE_SUPERVISED: '1' },
  });
  stack.once('error', (error) => {
    console.error(`  ✗ ${error.message}`);
    process.exit(1);
  });
  stack.once('exit', (code, signal) => process.exit(signal === null ? code : 1));
}

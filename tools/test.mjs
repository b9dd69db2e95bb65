// npm test: everything that says whether this tree is good, on a fresh clone too. A failing step does not stop the
// later ones; the last line is "N passed, N failed", where a failed step that is not a suite counts as one.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { checkNode, installIfNeeded, node24, toolEnvironment } from './install.mjs';
import { step } from './progress.mjs';
import { endRunning, onEnd, PlainError, root, run, watch } from './run.mjs';
import { countTests } from './count-tests.mjs';

/** Jest ends within a second of its results, unless a test left something running: then it would never end. */
const LINGER_MS = 30_000;
const startedAt = Date.now();
const totals = { passed: 0, failed: 0 };
const times = [];
let node;
let env;

onEnd((signal) => {
  endRunning(signal);
  process.exit(130);
});
try {
  checkNode();
  await installIfNeeded();
  await installJavaInCi();
  node = node24();
  env = toolEnvironment();
} catch (error) {
  console.error(`  ✗ ${error instanceof PlainError ? error.message : error.stack}`);
  totals.failed += 1;
  report();
}

const tool = (file, ...args) => run(node, [path.join(root, 'node_modules', file), ...args], env);

await check('format', () => tool('prettier/bin/prettier.cjs', '--check', '.'));
await check('lint', lint);
await check('types', () => tool('typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json'));
const built = await check('build', () => tool('nx/dist/bin/nx.js', 'run-many', '-t', 'build'));
await suites('unit');
await suites('integration');
if (built) await suites('e2e');
else await check('e2e', () => Promise.reject(new PlainError('there is nothing to run: the build failed')));
report();

/** The boundary rule reads Nx's cached project graph and says nothing at all without one. */
async function lint() {
  const graph = path.join(root, 'dist/project-graph.json');
  await tool('nx/dist/bin/nx.js', 'graph', `--file=${graph}`);
  // One process for all projects: the type information is built once, which two cores do in a third of the time that
  // one process per project takes.
  const said = await tool('eslint/bin/eslint.js', '.', '--max-warnings=0');
  if (said.includes('The rule will be skipped'))
    throw new PlainError(`the boundaries were not checked:\n${said}`);
}

async function check(name, work) {
  const startedAt = Date.now();
  try {
    await step(name, work);
    return true;
  } catch (error) {
    console.error(error instanceof PlainError ? error.message : error.stack);
    totals.failed += 1;
    return false;
  } finally {
    times.push([name, Date.now() - startedAt]);
  }
}

async function suites(kind) {
  const outputFile = path.join(root, 'dist/test-results', `${kind}.json`);
  mkdirSync(path.dirname(outputFile), { recursive: true });
  rmSync(outputFile, { force: true });
  console.log(`\n  ${kind}`);
  const startedAt = Date.now();
  const args = [path.join(root, 'tools/jest.mjs'), kind, '--json', `--outputFile=${outputFile}`];
  const lingering = setInterval(() => {
    const writtenAt = statSync(outputFile, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - writtenAt < LINGER_MS) return;
    console.error(`  ✗ ${kind}: a test left something running, and Jest was ended`);
    endRunning('SIGKILL');
  }, 1_000);
  const code = await watch(node, args, env);
  clearInterval(lingering);
  times.push([kind, Date.now() - startedAt]);
  const { passed, failed, problem } = countTests(outputFile, code);
  totals.passed += passed;
  totals.failed += failed;
  if (problem !== undefined) console.error(`  ✗ ${kind}: ${problem}`);
}

/** In CI the Kafka suites must run, and they need Java and Maven. */
async function installJavaInCi() {
  const missing = ['java', 'mvn'].filter((program) => spawnSync(program, ['-version']).status !== 0);
  if (
    process.env.CI !== 'true' ||
    process.env.KAFKA_BROKERS ||
    missing.length === 0 ||
    process.getuid?.() !== 0
  )
    return;
  await step(`installing ${missing.join(' and ')}`, async () => {
    await run('apt-get', ['update', '-qq']);
    const packages = ['maven', 'openjdk-17-jre-headless'];
    const quiet = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], quiet);
  });
}

function report() {
  const rows = [...times, ['in all', Date.now() - startedAt]];
  console.log(`\n${rows.map(([name, ms]) => `  ${name.padEnd(12)} ${(ms / 1000).toFixed(1)} s`).join('\n')}`);
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  process.exit(totals.failed === 0 ? 0 : 1);
}

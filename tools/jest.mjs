// Runs one kind of suite: node tools/jest.mjs unit|integration|e2e [path or pattern] [jest options]
//   unit          *.spec.ts        pure or in memory, no network
//   integration   *.int.spec.ts    real PostgreSQL and Kafka, real sockets
//   e2e           *.e2e.spec.ts    the built services, as a user starts them
// What suites choose at random follows from TEST_SEED: by itself a number of the last commit's tree, so that two runs
// of one tree test the same. TEST_SEED=$RANDOM looks further.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const patterns = {
  unit: ['**/*.spec.ts', '!**/*.int.spec.ts', '!**/*.e2e.spec.ts'],
  integration: ['**/*.int.spec.ts'],
  e2e: ['**/*.e2e.spec.ts'],
};
const [kind, ...rest] = process.argv.slice(2);
if (!(kind in patterns)) {
  console.error(`usage: node tools/jest.mjs ${Object.keys(patterns).join('|')} [path] [jest options]`);
  process.exit(2);
}
const seed = process.env.TEST_SEED ?? String(seedOfTree());
console.log(`random seed ${seed}`);
const jest = path.join(root, 'node_modules/jest/bin/jest.js');
const args = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', jest];
args.push(
  '--config',
  path.join(root, 'jest.config.mjs'),
  '--testMatch',
  ...patterns[kind],
  '--passWithNoTests',
);
// Suites that start servers share two cores with them: one at a time keeps their timing honest.
if (kind !== 'unit') args.push('--runInBand');
const done = spawnSync(process.execPath, [...args, ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TEST_SEED: seed },
});
process.exit(done.status ?? 1);

function seedOfTree() {
  const tree = spawnSync('git', ['rev-parse', 'HEAD^{tree}'], { cwd: root, encoding: 'utf8' });
  // Not a clone: an archive of the sources, say.
  return tree.status === 0 ? parseInt(tree.stdout.slice(0, 7), 16) : 1;
}

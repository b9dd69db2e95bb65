// Builds the services and measures them: npm run bench -- --scenario throughput --log postgres (or --help).
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const run = (file, args) => {
  const done = spawnSync(process.execPath, [path.join(root, file), ...args], { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) process.exit(done.status ?? 1);
};
for (const app of ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log', 'bench']) {
  run('tools/build.mjs', [app]);
}
run('dist/apps/bench/main.js', process.argv.slice(2));

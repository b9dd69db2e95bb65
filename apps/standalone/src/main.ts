import { standaloneOptions } from './config.js';
import { runStandalone } from './standalone.js';

const options = standaloneOptions();
if ('problems' in options) {
  for (const problem of options.problems) console.error(`  ✗ ${problem}`);
  process.exit(1);
}
await runStandalone(options);

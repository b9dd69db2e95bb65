// How many tests of a kind passed and failed, from the results Jest wrote. Success must be shown: results that are
// missing or cut short, no tests at all, or an exit code that says otherwise, each count as a failure. In CI so does
// a suite that was skipped as a whole, which is how the suites that need Kafka say that they had none.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** @returns {{ passed: number, failed: number, problem: string | undefined }} */
export function countTests(outputFile, exitCode, isCi = process.env.CI === 'true') {
  const results = readResults(outputFile);
  if (results === undefined)
    return { passed: 0, failed: 1, problem: `Jest ended with ${exitCode} and no results` };
  const passed = results.numPassedTests;
  const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
  if (failed > 0) return { passed, failed, problem: undefined };
  if (passed === 0) return { passed, failed: 1, problem: 'no test ran' };
  if (exitCode !== 0)
    return { passed, failed: 1, problem: `all tests passed, but Jest ended with ${exitCode}` };
  const skipped = isCi ? skippedSuites(results) : [];
  if (skipped.length === 0) return { passed, failed, problem: undefined };
  return {
    passed,
    failed: skipped.length,
    problem: `skipped, which CI does not allow: ${skipped.join(', ')}`,
  };
}

function readResults(outputFile) {
  if (!existsSync(outputFile)) return undefined;
  try {
    return JSON.parse(readFileSync(outputFile, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Files and outermost describe blocks of which not one test ran. */
function skippedSuites({ testResults }) {
  return testResults.flatMap(({ name, assertionResults }) => {
    const ran = new Map();
    for (const { ancestorTitles, status } of assertionResults) {
      const suite = ancestorTitles[0] ?? '';
      ran.set(suite, ran.get(suite) === true || (status !== 'pending' && status !== 'todo'));
    }
    const silent = [...ran].filter(([, didRun]) => !didRun).map(([suite]) => suite);
    return silent.map((suite) => `${path.basename(name)} (${suite})`);
  });
}

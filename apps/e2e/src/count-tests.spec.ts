import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';

// The tools belong to no project, so none may import them by a path.
const tool = new URL('../../../tools/count-tests.mjs', import.meta.url).href;
const { countTests } = (await import(tool)) as {
  countTests: (
    file: string,
    exitCode: number,
    isCi: boolean,
  ) => { passed: number; failed: number; problem: string | undefined };
};

/** `npm test` must not be able to report success that nothing shows. */
describe('the count of passed and failed tests', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-count-'));
  const file = path.join(folder, 'results.json');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const test = (suite: string, status: string) => ({ ancestorTitles: [suite, 'below'], status });
  const results = (changed: Record<string, unknown> = {}): string => {
    const testResults = [{ name: '/some/log.int.spec.ts', assertionResults: [test('the log', 'passed')] }];
    const counts = { numPassedTests: 3, numFailedTests: 0, numRuntimeErrorTestSuites: 0 };
    return JSON.stringify({ ...counts, testResults, ...changed });
  };
  const count = (content: string, exitCode: number, isCi = false): ReturnType<typeof countTests> => {
    writeFileSync(file, content);
    return countTests(file, exitCode, isCi);
  };

  it('is Jest’s own when all is well', () => {
    expect(count(results(), 0, true)).toEqual({ passed: 3, failed: 0, problem: undefined });
  });

  it('counts failed tests, and files that could not be run', () => {
    expect(count(results({ numFailedTests: 2, numRuntimeErrorTestSuites: 1 }), 1).failed).toBe(3);
  });

  it.each([
    ['Jest crashed before it wrote anything', undefined, 137],
    ['Jest crashed while it wrote', results().slice(0, -20), 0],
    ['no test ran', results({ numPassedTests: 0, testResults: [] }), 0],
    ['Jest ended badly after its last test', results(), 1],
  ])('is a failure when %s', (_what, content, exitCode) => {
    rmSync(file, { force: true });
    const counted = content === undefined ? countTests(file, exitCode, false) : count(content, exitCode);
    expect(counted).toMatchObject({ failed: 1, problem: expect.any(String) as unknown });
  });

  it('is a failure in CI, and only there, when a whole suite was skipped', () => {
    const assertionResults = [
      test('on Kafka', 'pending'),
      test('in memory', 'passed'),
      test('in memory', 'pending'),
    ];
    const skipped = results({ testResults: [{ name: '/some/log.int.spec.ts', assertionResults }] });
    expect(count(skipped, 0, true)).toMatchObject({
      failed: 1,
      problem: expect.stringContaining('log.int.spec.ts (on Kafka)') as unknown,
    });
    expect(count(skipped, 0, false).failed).toBe(0);
  });
});

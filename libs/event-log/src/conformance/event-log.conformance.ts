import { afterAll, beforeAll, describe } from '@jest/globals';
import { crashConformance } from './crash.conformance.js';
import { faultsConformance } from './faults.conformance.js';
import { followingConformance } from './following.conformance.js';
import { groupsConformance } from './groups.conformance.js';
import type { LogHarness, LogUnderTest } from './harness.js';
import { readingConformance } from './reading.conformance.js';

/** The port's promises as tests; every adapter runs them all, but that a log in memory has no processes to kill. */
export function eventLogConformance(harness: LogHarness): void {
  describe(`the log on ${harness.name}`, () => {
    let underTest: LogUnderTest;
    beforeAll(async () => {
      underTest = await harness.start();
    }, 120_000);
    afterAll(() => underTest.stop(), 60_000);

    describe('reading', () => readingConformance(() => underTest));
    describe('groups', () => groupsConformance(() => underTest));
    describe('following', () => followingConformance(() => underTest));
    describe('faults', () => faultsConformance(() => underTest, harness.patienceMs));
    if (harness.isSharedByProcesses) describe('crashes', () => crashConformance(() => underTest));
  });
}

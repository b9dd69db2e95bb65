import { waitFor } from '@posthaste/test-kit';
import { type Bench, whenQuiet } from '../product/bench-stack.js';
import type { GeneratedReport } from '../traffic/protocol.js';
import { publish, type Way } from './load.js';
import { invite, isBusy, wayOf } from './parties.js';
import { FULL_SPEED } from './run-speed.js';

/** An endpoint that works again, and what it never got. */
export interface FailedForGood {
  way: Way;
  endpoint: string;
  /** No message to it is older. */
  since: string;
  generated: GeneratedReport;
}

const SETTLED_LIMIT_MS = 600_000;

/**
 * Messages to an endpoint without retries whose receiver answers 500. After ten failures its breaker is open and the rest
 * is parked, to be tried one by one each half minute, which would take weeks. So somebody disables the endpoint, as one
 * does with what stays down: what is parked is cancelled, and as lost as what failed. Answers once nothing is owed any
 * more, the receiver is back and the endpoint is enabled again.
 */
export async function failForGood(bench: Bench, name: string, count: number): Promise<FailedForGood> {
  const { workers, stack } = bench;
  const one = { name, accounts: 1, endpointsEach: 1, scheduleSeconds: [] };
  const party = await invite(stack, workers.receiver, { ...one, behaviour: 'fail' });
  const way = wayOf(party, stack);
  const endpoint = party.endpoints[0]?.id ?? '';
  const since = new Date().toISOString();
  const generated = await publish(way, { count, pace: FULL_SPEED }, workers);
  await stack.tenant.updateEndpoint(endpoint, { enabled: false });
  const isSettled = async (): Promise<boolean> => {
    // History is written a moment after the fact.
    await whenQuiet(stack);
    return !(await isBusy(stack, party.accounts[0] ?? ''));
  };
  await waitFor(isSettled, { what: 'everything cancelled', everyMs: 1_000, deadlineMs: SETTLED_LIMIT_MS });
  await workers.receiver.ask({ kind: 'behave', receiver: way.receiver, behaviour: 'prompt' });
  await stack.tenant.updateEndpoint(endpoint, { enabled: true });
  return { way, endpoint, since, generated };
}

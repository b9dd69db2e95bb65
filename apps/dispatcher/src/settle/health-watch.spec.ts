import { describe, expect, it } from '@jest/globals';
import type { DeliveryAttempted } from '@posthaste/contracts';
import { HealthWatch } from './health-watch.js';

const attempt = (
  outcome: 'succeeded' | 'failed',
  startedAt: number,
  endpoint = 'ep_1',
): DeliveryAttempted => ({
  ...{
    type: 'DeliveryAttempted',
    v: 1,
    delivery: 'dlv_1',
    message: 'msg_1',
    tenant: 'ten_1',
    account: 'acc_1',
  },
  ...{ endpoint, eventType: 'a.b', acceptedAt: 0, attempt: 1, trigger: 'publish', id: 'att_1', startedAt },
  ...{ endpointVersion: 1, profile: 'standard', outcome, timings: { totalMs: 1 } },
  request: { url: 'https://example.com/', headers: { authorization: 'Bear... (40 characters)' } },
  decision: outcome === 'succeeded' ? { kind: 'delivered' } : { kind: 'exhausted' },
});

/** Whether each attempt is told; what is told is in the log at once. */
function told(watch: HealthWatch, ...attempts: DeliveryAttempted[]): boolean[] {
  return attempts.map((event) => {
    const fact = watch.factOf(event);
    if (fact) watch.told(fact);
    return fact !== null;
  });
}

describe('what is told of attempts', () => {
  it('is every failure, the first success after one, and one success in five minutes', () => {
    const watch = new HealthWatch();
    const [ok, bad] = ['succeeded', 'failed'] as const;
    const story = [
      ...[attempt(ok, 0), attempt(ok, 1), attempt(ok, 299_999), attempt(ok, 300_000), attempt(ok, 300_001)],
      ...[attempt(bad, 300_002), attempt(bad, 300_003), attempt(ok, 300_004), attempt(ok, 300_005)],
    ];
    expect(told(watch, ...story)).toEqual([true, false, false, true, false, true, true, true, false]);
    expect(told(watch, attempt(ok, 300_006, 'ep_2'))).toEqual([true]);
  });

  it('is a success that asks for the endpoint to be disabled, in any case', () => {
    const watch = new HealthWatch();
    const gone = { ...attempt('succeeded', 1), decision: { kind: 'delivered', endpointGone: true } as const };
    expect(told(watch, attempt('succeeded', 0), gone)).toEqual([true, true]);
  });

  it('is a success again after a failure that came while another one was being told', () => {
    const watch = new HealthWatch();
    const slow = watch.factOf(attempt('succeeded', 0));
    watch.factOf(attempt('failed', 1));
    if (slow) watch.told(slow);
    expect(told(watch, attempt('succeeded', 2))).toEqual([true]);
  });

  it('is the next success of every endpoint when partitions have moved', () => {
    const watch = new HealthWatch();
    told(watch, attempt('succeeded', 0));
    watch.forget();
    expect(told(watch, attempt('succeeded', 1))).toEqual([true]);
  });

  it('holds nothing of the request but its URL, and nothing of the answer', () => {
    const fact = new HealthWatch().factOf(attempt('failed', 0));
    expect(fact).toMatchObject({ url: 'https://example.com/', outcome: 'failed' });
    expect(JSON.stringify(fact)).not.toContain('Bear');
    expect(Object.keys(fact ?? {})).not.toContain('response');
  });
});

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Decision, RetryPolicy } from '@posthaste/contracts';
import { type Answer, Receiver } from '@posthaste/test-kit';
import { memoryLog } from './logs.js';
import { type Actor, Stage } from './stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

describe('what a receiver answers decides what follows', () => {
  let stage: Stage;
  let receiver: Receiver;
  let actor: Actor;
  beforeAll(async () => {
    stage = await Stage.prepare(await memoryLog());
    receiver = await Receiver.start();
    actor = await stage.start();
  });
  afterAll(async () => {
    await stage.stop(actor);
    await stage.close();
    await receiver.stop();
  });

  const asking = (status: number, name: string, value: string): Answer => ({
    status,
    headers: { [name]: value },
  });
  const gone: Decision = { kind: 'cancelled', reason: 'endpoint_gone' };
  const onlyServerErrors: RetryPolicy = { preset: 'ada', retryStatuses: ['5xx'] };

  it.each<[string, Answer, RetryPolicy | undefined, Decision | { kind: 'retry' }]>([
    ['410', 410, undefined, gone],
    ['500 and disable', asking(500, 'Webhook-Delivery', 'Disable'), undefined, gone],
    [
      '200 and disable',
      asking(200, 'webhook-delivery', 'disable'),
      undefined,
      { kind: 'delivered', endpointGone: true },
    ],
    [
      '503 and abort-message',
      asking(503, 'webhook-delivery', 'ABORT-MESSAGE'),
      undefined,
      { kind: 'cancelled', reason: 'receiver_aborted' },
    ],
    [
      '200 and abort-message',
      asking(200, 'webhook-delivery', 'abort-message'),
      undefined,
      { kind: 'delivered' },
    ],
    ['404 where only 5xx is retried', 404, onlyServerErrors, { kind: 'exhausted' }],
    ['503 where only 5xx is retried', 503, onlyServerErrors, { kind: 'retry' }],
  ])('%s', async (name, answer, policy, decision) => {
    const path = `/${encodeURIComponent(name)}`;
    receiver.plan({ path, answers: [answer] });
    const retryPolicy = policy ?? { preset: 'ada' };
    const endpoint = await stage.configureEndpoint(receiver.url(path), { retryPolicy });
    const [event] = await stage.attemptsOf([await stage.publish([endpoint])]);
    expect(event?.decision).toMatchObject(decision);
  });

  it('a Retry-After of any failed answer is waited for', async () => {
    receiver.plan({ path: '/later', answers: [asking(429, 'retry-after', '90')] });
    const endpoint = await stage.configureEndpoint(receiver.url('/later'));
    const [event] = await stage.attemptsOf([await stage.publish([endpoint])]);
    const decision = event?.decision;
    const endedAt = (event?.startedAt ?? 0) + (event?.timings.totalMs ?? 0);
    expect(decision?.kind === 'retry' && decision.at - endedAt).toBeGreaterThan(89_000);
  });
});

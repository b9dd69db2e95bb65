import { describe, expect } from '@jest/globals';
import type { Replay } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import { type Receiver, type ReceivedRequest, type TenantClient, waitFor } from '@posthaste/test-kit';
import type { Crash } from './oracle.js';
import { itOn, logsToTest, withParties } from './test-stack.js';

const SERVICES = ['audit-log', 'dispatcher', 'retry-scheduler', 'management-api'];
/** Of Kafka's groups it takes several times as long to join again. */
const KILLS = { postgres: 10, kafka: 5 };
const AT_ONCE = 16;
/** Between two kills; a few are left after the last. */
const REPLAYED = 12;
const RATE = 10;

describe.each(logsToTest())('kill -9 of whoever takes part in a replay, log: $log', ({ log, start }) => {
  const kills = KILLS[log];
  const deliveries = kills * AT_ONCE;
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  const it = itOn(() => stack);
  withParties(start, (parties) => ({ stack, receiver, tenant } = parties));

  const isReplay = ({ headers }: ReceivedRequest): boolean => headers['webhook-replay'] === 'true';

  /**
   * Every fourth delivery fails when it is published, and of the replay another fourth, always the same ones: never more
   * than half of any twenty, at which the breaker would open.
   */
  async function published(): Promise<{ endpoint: string; messages: string[] }> {
    await tenant.putAccount('killed');
    const placeOf = ({ body }: ReceivedRequest): number => (JSON.parse(body.toString()) as { n: number }).n;
    receiver.plan({
      path: '/killed',
      answers: (request) => (placeOf(request) % 4 === (isReplay(request) ? 1 : 0) ? 503 : 200),
    });
    const { id } = await tenant.createEndpoint('killed', {
      ...{ url: receiver.url('/killed'), retry_policy: { preset: 'none' } },
    });
    const messages: string[] = [];
    while (messages.length < deliveries) {
      const batch = Array.from({ length: AT_ONCE }, (_, n) =>
        tenant.publish('killed', 'order.placed', { n }),
      );
      messages.push(...(await Promise.all(batch)).map((message) => message.id));
    }
    await waitFor(
      async () => {
        const settled = (await tenant.deliveries('killed')).filter(({ status }) =>
          ['delivered', 'exhausted'].includes(status),
        );
        return settled.length === deliveries;
      },
      { what: 'all settled', everyMs: 200, deadlineMs: 60_000 },
    );
    return { endpoint: id, messages };
  }

  async function kill(victim: string): Promise<Crash> {
    const before = stack.process(victim).pid;
    const from = Date.now();
    await stack.process(victim).kill('SIGKILL');
    await waitFor(() => ![0, before].includes(stack.process(victim).pid), { what: `another ${victim}` });
    await stack.waitReady();
    return { from, to: Date.now() };
  }

  it(`over ${kills} kills asks for each delivery once, and loses none`, async () => {
    const since = new Date(Date.now() - 1_000).toISOString();
    const { endpoint, messages } = await published();
    // What was delivered is sent again whatever its state, so nothing but the replay itself keeps it from a second time.
    const body = { endpoint_id: endpoint, since, status: ['delivered', 'exhausted'], rate_per_second: RATE };
    const { id } = await tenant.rest.ask<Replay>('POST', '/v1/replays', { body });
    const crashes: Crash[] = [];
    for (let n = 0; n < kills; n++) {
      const victim = SERVICES[n % SERVICES.length] ?? '';
      await receiver.whenReceived(REPLAYED * (n + 1), isReplay, 30_000);
      const crash = await kill(victim);
      // Nobody else sends: only a dispatcher's end can make an attempt happen again, under the number it had.
      if (victim === 'dispatcher') crashes.push(crash);
    }
    const replay = await waitFor(
      async () => {
        const now = await tenant.rest.ask<Replay>('GET', `/v1/replays/${id}`);
        if (now.status === 'completed' && now.succeeded + now.failed === now.requested) return now;
        throw new Error(JSON.stringify(now));
      },
      { what: 'the replay made', everyMs: 200, deadlineMs: 60_000 },
    );
    expect(replay).toMatchObject({ total: deliveries, requested: deliveries });
    const requests = receiver.requests.filter(isReplay);
    const failed = requests.filter(({ status }) => status === 503);
    expect(replay.failed).toBe(new Set(failed.map(({ webhookId }) => webhookId)).size);
    expect([...new Set(requests.map(({ webhookId }) => webhookId))].sort()).toEqual([...messages].sort());
    let again = 0;
    for (const message of messages) {
      const times = requests.filter(({ webhookId }) => webhookId === message).map(({ at }) => at);
      const between = crashes.filter(
        ({ from, to }) => Math.min(...times) <= to && Math.max(...times) >= from,
      );
      expect(times.length).toBeLessThanOrEqual(1 + between.length);
      again += times.length - 1;
    }
    // Each has the attempt it was published with, and the one that was asked for; under whatever number it came again.
    const counts = (await tenant.deliveries('killed')).map(({ attempts }) => attempts);
    expect(counts).toEqual(messages.map(() => 2));
    console.log(
      `${log}, ${kills} kills: ${requests.length} requests, ${again} again after a dispatcher died with them`,
    );
  }, 240_000);
});

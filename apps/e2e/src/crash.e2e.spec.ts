import { afterEach, describe, expect, it } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, seededRandom, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import { deliveryHistory, receivedHistory } from './histories.js';
import { judge } from './oracle.js';
import { Publisher } from './publisher.js';
import { logsToTest } from './test-stack.js';

/** CRASH_KILLS=20 is the long form; this is the only place that reads it. */
const KILLS = Number(process.env['CRASH_KILLS'] ?? 5);
const PUBLISHES = KILLS > 5 ? KILLS * 250 : 1_500;
const IN_FLIGHT = 64;
const SERVICES = ['dispatcher', 'management-api', 'audit-log', 'retry-scheduler'];
/** Requests a lane may have out, and as many answers that were not yet written down when the process died. */
const UNSETTLED_PER_LANE = 2 * 16;
const PATHS = ['/steady', '/flaky'];
const ACCOUNT = 'crash';

/** Every fifth message fails once at /flaky, so that the retries' way is under fire too. */
function failFirstOfSome(receiver: Receiver): void {
  const seen = new Set<string>();
  receiver.plan({
    path: '/flaky',
    answers: ({ webhookId }) => {
      const isFirst = !seen.has(webhookId);
      seen.add(webhookId);
      return isFirst && webhookId.charCodeAt(webhookId.length - 1) % 5 === 0 ? 503 : 200;
    },
  });
}

async function createEndpoints(
  tenant: TenantClient,
  receiver: Receiver,
): Promise<{ id: string; path: string; secret: string }[]> {
  await tenant.putAccount(ACCOUNT);
  return Promise.all(
    PATHS.map(async (path) => {
      const retry_policy = { schedule_seconds: [1, 1, 1, 1, 1, 1] };
      const { id } = await tenant.createEndpoint(ACCOUNT, { url: receiver.url(path), retry_policy });
      return { id, path, secret: await tenant.secretOf(id) };
    }),
  );
}

async function settledDeliveries(tenant: TenantClient, count: number): Promise<void> {
  const unsettled = ['pending', 'retrying', 'deferred'];
  await waitFor(
    async () => {
      const deliveries = await tenant.deliveries(ACCOUNT);
      const open = deliveries.filter(({ status }) => unsettled.includes(status)).length;
      if (deliveries.length >= count && open === 0) return true;
      throw new Error(`${deliveries.length} of ${count} deliveries are known, ${open} are open`);
    },
    { deadlineMs: 90_000, everyMs: 500, what: 'every acknowledged delivery settled' },
  );
}

describe.each(logsToTest())('kill -9 of a service during publishes, log: $log', ({ start }) => {
  let stack: Stack | undefined;
  let receiver: Receiver | undefined;
  afterEach(async () => {
    await stack?.stop();
    await receiver?.stop();
  }, 60_000);

  it(`loses nothing over ${KILLS} kills and ${PUBLISHES} publishes, and explains every duplicate`, async () => {
    const random = seededRandom();
    console.log(`seed ${random.seed}`);
    stack = await start();
    receiver = await Receiver.start();
    failFirstOfSome(receiver);
    const tenant = await seedTenant(stack.url, stack.operatorKey);
    const endpoints = await createEndpoints(tenant, receiver);
    const { url } = stack;
    const publisher = new Publisher({
      urls: [url],
      key: tenant.rest.key ?? '',
      account: ACCOUNT,
      inFlight: IN_FLIGHT,
      run: String(random.seed),
    });

    const killed: string[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const service = SERVICES[kill % SERVICES.length] as string;
      const segment = Math.ceil(PUBLISHES / KILLS);
      const killAt = 1 + random.below(segment - 1);
      const victim = stack.process(service);
      let dying: Promise<void> | undefined;
      await publisher.publish(segment, (acknowledged) => {
        if (acknowledged === killAt) dying = victim.kill('SIGKILL');
      });
      await dying;
      if (dying !== undefined) killed.push(service);
      await stack.waitReady();
    }
    expect(killed).toHaveLength(KILLS);

    const acknowledged = publisher.history.filter(({ result }) => result.kind === 'acknowledged');
    expect(acknowledged).toHaveLength(publisher.history.length);
    await settledDeliveries(tenant, acknowledged.length * endpoints.length);
    const dispatcherKills = killed.filter((service) => service === 'dispatcher').length;
    const verdict = judge(
      {
        published: publisher.history,
        received: receivedHistory(receiver, endpoints),
        deliveries: await deliveryHistory(tenant, ACCOUNT),
        endpoints: endpoints.map(({ id }) => id),
      },
      {
        perDelivery: dispatcherKills,
        total: dispatcherKills * UNSETTLED_PER_LANE * endpoints.length,
      },
    );
    console.log(
      `${acknowledged.length} acknowledged, killed: ${killed.join(', ')}; ${verdict.duplicates} duplicates`,
    );
    expect(verdict.violations).toEqual([]);
    const { length: retried } = receiver.requests.filter(({ status }) => status === 503);
    expect(retried).toBeGreaterThan(0);
  }, 600_000);
});

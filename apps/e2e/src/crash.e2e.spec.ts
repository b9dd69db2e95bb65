import { afterEach, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, seededRandom, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import { attemptsInLog, deliveryHistory, receivedHistory } from './histories.js';
import { type Crash, judge, type Verdict } from './oracle.js';
import { Publisher } from './publisher.js';
import { itOn, logsToTest } from './test-stack.js';

/** CRASH_TEST=full is the long form (CONTRIBUTING.md); this is the only place that reads it. */
const FULL = process.env['CRASH_TEST'] === 'full';
const KILLS = FULL ? 20 : 5;
const PUBLISHES = FULL ? 5_000 : 1_200;
const IN_FLIGHT = 64;
const SERVICES = ['dispatcher', 'management-api', 'audit-log', 'retry-scheduler'];
const PATHS = ['/steady', '/flaky'];
const ACCOUNT = 'crash';

interface Run {
  stack: Stack;
  receiver: Receiver;
  tenant: TenantClient;
  endpoints: { id: string; path: string; secret: string }[];
  publisher: Publisher;
}

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

async function prepare(stack: Stack, receiver: Receiver, run: string): Promise<Run> {
  failFirstOfSome(receiver);
  const tenant = await seedTenant(stack.url, stack.operatorKey);
  await tenant.putAccount(ACCOUNT);
  const endpoints = await Promise.all(
    PATHS.map(async (path) => {
      const retry_policy = { schedule_seconds: [1, 1, 1, 1, 1, 1] };
      const { id } = await tenant.createEndpoint(ACCOUNT, { url: receiver.url(path), retry_policy });
      return { id, path, secret: await tenant.secretOf(id) };
    }),
  );
  const publisher = new Publisher({
    urls: [stack.url],
    key: tenant.key,
    account: ACCOUNT,
    inFlight: IN_FLIGHT,
    run,
  });
  return { stack, receiver, tenant, endpoints, publisher };
}

/** One kill while so many are published, at a moment the dice choose. */
async function killDuring(run: Run, victim: string, publishes: number, killAt: number): Promise<Crash> {
  const { stack, publisher } = run;
  let crash: Promise<Crash> | undefined;
  const kill = async (): Promise<Crash> => {
    const before = stack.process(victim).pid;
    const from = Date.now();
    await stack.process(victim).kill('SIGKILL');
    await waitFor(() => ![0, before].includes(stack.process(victim).pid), {
      what: `another ${victim}`,
      deadlineMs: 60_000,
    });
    await stack.waitReady();
    return { from, to: Date.now() };
  };
  await publisher.publish(publishes, (acknowledged) => {
    if (acknowledged === killAt) crash = kill();
  });
  if (crash === undefined) throw new Error(`only ${publisher.history.length} were ever acknowledged`);
  return crash;
}

/** Nothing is owed any more. Names what is missing when that does not come true. */
async function whenAllSettled({ tenant, publisher, endpoints }: Run): Promise<void> {
  const open = ['pending', 'retrying', 'deferred'];
  const messages = publisher.history.flatMap(({ result }) =>
    result.kind === 'acknowledged' ? [result.message] : [],
  );
  await waitFor(
    async () => {
      const deliveries = await tenant.deliveries(ACCOUNT);
      const settled = new Map<string, number>();
      for (const { message_id, status } of deliveries) {
        if (!open.includes(status)) settled.set(message_id, (settled.get(message_id) ?? 0) + 1);
      }
      const missing = messages.filter((message) => (settled.get(message) ?? 0) < endpoints.length);
      if (missing.length === 0) return true;
      const named = missing.slice(0, 10).map((message) => {
        const known = deliveries.filter(({ message_id }) => message_id === message);
        return `${message}: ${known.map(({ status }) => status).join(', ') || 'not known'}`;
      });
      throw new Error(`${missing.length} of ${messages.length} messages are open\n${named.join('\n')}`);
    },
    { deadlineMs: 90_000, everyMs: 500, what: 'every acknowledged message settled' },
  );
}

/** An attempt made twice was written down twice, or had not been written down when its sender died. */
function explained({ duplicates, repeated }: Verdict, inLog: Map<string, number[]>): string {
  const writtenTwice = repeated.filter(({ id }) => {
    const numbers = inLog.get(id) ?? [];
    return new Set(numbers).size < numbers.length;
  });
  return (
    `${duplicates} answered 2xx again; of ${repeated.length} deliveries an attempt was made again under its number: ` +
    `${writtenTwice.length} written down but not committed at the kill, ` +
    `${repeated.length - writtenTwice.length} in flight`
  );
}

describe.each(logsToTest())('kill -9 at full speed, log: $log', ({ log, start, openLog }) => {
  let stack: Stack | undefined;
  let receiver: Receiver | undefined;
  const it = itOn(() => stack);
  afterEach(async () => {
    await stack?.stop();
    await receiver?.stop();
  }, 60_000);

  const promise = `loses nothing over ${KILLS} kills and ${PUBLISHES} publishes, and explains every duplicate`;
  const test = async (): Promise<void> => {
    const random = seededRandom();
    console.log(`seed ${random.seed}`);
    stack = await start();
    receiver = await Receiver.start();
    const run = await prepare(stack, receiver, String(random.seed));
    const victims = log === 'postgres' ? [...SERVICES, 'postgres'] : SERVICES;
    const killed = Array.from({ length: KILLS }, (_, kill) => victims[kill % victims.length] ?? '');
    const crashes: Crash[] = [];
    const began = Date.now();
    for (const victim of killed) {
      const publishes = PUBLISHES / KILLS;
      const crash = await killDuring(run, victim, publishes, 1 + random.below(publishes - 1));
      // Nobody else sends: only a dispatcher's end can make an attempt happen again.
      if (victim === 'dispatcher') crashes.push(crash);
    }
    const { tenant, endpoints, publisher } = run;
    const acknowledged = publisher.history.filter(({ result }) => result.kind === 'acknowledged').length;
    expect(acknowledged).toBe(PUBLISHES);
    await whenAllSettled(run);
    const seconds = ((Date.now() - began) / 1_000).toFixed(1);

    const deliveries = await deliveryHistory(tenant, ACCOUNT);
    const verdict = judge(
      {
        published: publisher.history,
        received: receivedHistory(receiver, endpoints),
        deliveries,
        endpoints: endpoints.map(({ id }) => id),
      },
      crashes,
    );
    const delivered = deliveries.filter(({ status }) => status === 'delivered').length;
    const inLog = await attemptsInLog(await openLog(stack));
    console.log(
      `${log}: ${KILLS} kills (${victims.join(', ')} in turn), ${acknowledged} acknowledged, ` +
        `${delivered} delivered to ${endpoints.length} endpoints, ${seconds} s; ${explained(verdict, inLog)}`,
    );
    expect(verdict.violations).toEqual([]);
    const accepted = publisher.history.map(({ result }) => result.kind === 'acknowledged' && result.message);
    const known = await tenant.rest.all<{ id: string }>(`/v1/accounts/${ACCOUNT}/messages`);
    expect(known.map(({ id }) => id).sort()).toEqual(accepted.sort());
    expect(delivered).toBe(PUBLISHES * endpoints.length);
    expect(receiver.requests.filter(({ status }) => status === 503).length).toBeGreaterThan(0);
  };
  it(promise, test, FULL ? 900_000 : 240_000);
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { newId, topics } from '@posthaste/contracts';
import { evolve, pendingDelivery } from '@posthaste/delivery';
import { partitionOf } from '@posthaste/event-log';
import { Receiver, waitFor } from '@posthaste/test-kit';
import { HeldReceiver } from './held-receiver.js';
import { kafkaLog, type LogUnderTest, memoryLog, postgresLog, startKafka } from './logs.js';
import { type Published, Stage } from './stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

const partitions = topics.messages.partitions.single;

function accountIn(partition: number): string {
  for (;;) {
    const account = newId('account');
    if (partitionOf(account, partitions) === partition) return account;
  }
}

describe.each([
  ['memory', () => memoryLog()],
  ['Postgres', postgresLog],
  ...(startKafka ? [['Kafka', kafkaLog] as [string, () => Promise<LogUnderTest>]] : []),
])('on the %s log work changes hands:', (_, openLog) => {
  let log: LogUnderTest;
  let stage: Stage;
  let receiver: Receiver;
  let held: HeldReceiver;
  beforeAll(async () => {
    log = await openLog();
    stage = await Stage.prepare(log);
  }, 60_000);
  beforeEach(async () => {
    receiver = await Receiver.start();
    held = await HeldReceiver.start();
  });
  afterEach(async () => {
    await receiver.stop();
    await held.stop();
    await stage.stopAll();
  });
  afterAll(async () => {
    await stage.close();
    await log.stop();
  });

  /** One message in flight in every partition. */
  async function publishEverywhere(): Promise<Published[]> {
    const published: Published[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const endpoint = await stage.configureEndpoint(held.url, { account: accountIn(partition) });
      published.push(await stage.publish([endpoint]));
    }
    await held.whenReceived(partitions);
    return published;
  }
  const timesSent = ({ meta }: Published) => held.ids.filter((id) => id === meta.id).length;
  const idsOf = (published: Published[]) => published.map(({ meta }) => meta.id).toSorted();

  it('a process dies: nothing is lost, and what a commit said is done is not repeated', async () => {
    const first = await stage.start({ drainSeconds: 0 });
    receiver.plan({ path: '/stuck', answers: ['hang', 200] });
    const stuck = await stage.configureEndpoint(receiver.url('/stuck'));
    const fine = await stage.configureEndpoint(receiver.url('/fine'), { account: stuck.account });
    const blocking = await stage.publish([stuck]);
    const passed = await stage.publishMany(20, fine);
    // All are done but the one below them, so only the commit's metadata can tell.
    await first.log.whenCommitted(passed.map(({ position }) => position));
    expect(first.log.isCommitted(blocking.position)).toBe(false);
    first.log.die();
    await stage.stop(first);

    const second = await stage.start();
    const more = await stage.publish([fine]);
    const [attempt] = await stage.attemptsOf([blocking, more]);
    expect(attempt).toMatchObject({ outcome: 'succeeded', attempt: 1, message: blocking.meta.id });
    await stage.stop(second);
    expect(receiver.at('/stuck').map((r) => r.webhookId)).toEqual([blocking.meta.id, blocking.meta.id]);
    expect(
      receiver
        .at('/fine')
        .map((r) => r.webhookId)
        .toSorted(),
    ).toEqual(idsOf([...passed, more]));
    expect(await stage.lag()).toBe(0);
  });

  it('a member joins: what is in flight is ended first, and sent once where the log waits for that', async () => {
    const first = await stage.start();
    const published = await publishEverywhere();
    const joining = stage.start();
    await waitFor(() => first.log.isRevoked, { everyMs: 5, what: 'a revocation' });
    held.answerAll();
    const second = await joining;
    await stage.attemptsOf(published);
    const isDone = ({ position }: Published) =>
      first.log.isCommitted(position) || second.log.isCommitted(position);
    await waitFor(() => published.every(isDone), { what: 'a commit of all' });
    await Promise.all([stage.stop(first), stage.stop(second)]);
    if (log.waitsForHandOver) expect(held.ids.toSorted()).toEqual(idsOf(published));
    else expect([...new Set(held.ids)].toSorted()).toEqual(idsOf(published));
    expect(await stage.lag()).toBe(0);
  });

  it('a member joins while receivers hang: both owners send, and it folds into one attempt', async () => {
    const first = await stage.start();
    const published = await publishEverywhere();
    const second = await stage.start();
    const ofMessages = () => second.log.assigned.filter(({ topic }) => topic === topics.messages.name);
    await waitFor(() => ofMessages().length > 0, { what: 'an assignment' });
    const moved = published.filter(({ position }) =>
      ofMessages().some(({ partition }) => partition === position.partition),
    );
    await held.whenReceived(partitions + moved.length);
    held.answerAll();
    const twice = await Promise.all(moved.map(({ deliveries }) => stage.eventsOf(deliveries[0], 2)));
    for (const events of twice) {
      const [one, other] = events.map((event) => (event.type === 'DeliveryAttempted' ? event.id : null));
      expect(one).toBe(other);
      expect(events.reduce(evolve, pendingDelivery)).toMatchObject({ status: 'delivered', attempts: 1 });
    }
    await stage.attemptsOf(published);
    await Promise.all([stage.stop(first), stage.stop(second)]);
    // A partition may also have moved after the look at the assignment.
    for (const message of published) {
      expect(moved.includes(message) ? [2] : [1, 2]).toContain(timesSent(message));
    }
    expect(await stage.lag()).toBe(0);
  });

  it('a process is told to stop while a receiver hangs: only what was in flight is sent again', async () => {
    const first = await stage.start({ lane: 2, drainSeconds: 0.1 });
    const hanging = await stage.configureEndpoint(held.url);
    const fine = await stage.configureEndpoint(receiver.url('/fine'), { account: hanging.account });
    const stuck = await stage.publishMany(2, hanging);
    await held.whenReceived(2);
    const waiting = await stage.publishMany(3, hanging);
    const done = await stage.publishMany(5, fine);
    await stage.attemptsOf(done);
    await stage.stop(first);
    expect(await stage.lag()).toBeGreaterThan(0);

    held.answerAll();
    const second = await stage.start();
    await Promise.all([...stuck, ...waiting].map(({ deliveries }) => stage.eventsOf(deliveries[0])));
    await stage.stop(second);
    expect(await stage.lag()).toBe(0);
    expect(stuck.map(timesSent)).toEqual([2, 2]);
    // Sent by the second; on a slow machine the first may have put it off before it was told to stop.
    const putOff = stage.events.filter(({ type }) => type === 'DeliveryDeferred').map((e) => e.message);
    for (const message of waiting) {
      if (putOff.includes(message.meta.id)) expect(timesSent(message)).toBeLessThanOrEqual(1);
      else expect(timesSent(message)).toBe(1);
    }
    expect(
      receiver
        .at('/fine')
        .map((r) => r.webhookId)
        .toSorted(),
    ).toEqual(idsOf(done));
  });
});

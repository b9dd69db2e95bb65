import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Receiver } from '@posthaste/test-kit';
import { memoryLog } from './logs.js';
import { type Actor, Stage } from './stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

describe('the dispatcher, in one partition', () => {
  let stage: Stage;
  let receiver: Receiver;
  let actor: Actor | undefined;
  beforeAll(async () => {
    stage = await Stage.prepare(await memoryLog());
  });
  beforeEach(async () => {
    receiver = await Receiver.start();
  });
  afterEach(async () => {
    if (actor) await stage.stop(actor);
    actor = undefined;
    await receiver.stop();
  });
  afterAll(() => stage.close());

  it('puts off what a hanging endpoint cannot take, and sends the rest of its account meanwhile', async () => {
    actor = await stage.start({ lane: 2 });
    receiver.plan({ path: '/hang', answers: ['hang'] });
    const hanging = await stage.configureEndpoint(receiver.url('/hang'), { timeoutSeconds: 3 });
    const healthy = await stage.configureEndpoint(receiver.url('/healthy'), { account: hanging.account });
    const stuck = await stage.publishMany(300, hanging);
    const sent = await stage.publishMany(50, healthy);
    const delivered = await stage.attemptsOf(sent);
    expect(new Set(delivered.map(({ outcome }) => outcome))).toEqual(new Set(['succeeded']));
    const hasEnded = stage.events.some((e) => e.type === 'DeliveryAttempted' && e.endpoint === hanging.id);
    expect(hasEnded).toBe(false);

    const events = (await Promise.all(stuck.map(({ deliveries }) => stage.eventsOf(deliveries[0])))).flat();
    const putOff = events.filter((event) => event.type === 'DeliveryDeferred');
    expect(putOff).toHaveLength(298);
    for (const event of putOff) {
      expect(event.attempt).toBe(1);
      expect(['lane_full', 'lane_slow']).toContain(event.reason);
      expect(event.until).toBeGreaterThan(event.at);
    }
    expect((await stage.attemptsOf(stuck)).map((event) => event.error?.class)).toEqual([
      'timeout',
      'timeout',
    ]);
    await actor.log.whenCommitted(stuck.map(({ position }) => position));
  });

  it('stops calling an endpoint that is down, and says when it will be probed', async () => {
    actor = await stage.start({ lane: 2 });
    receiver.plan({ path: '/down', answers: [{ status: 500 }] });
    const down = await stage.configureEndpoint(receiver.url('/down'));
    const published = await stage.publishMany(40, down);
    const events = (
      await Promise.all(published.map(({ deliveries }) => stage.eventsOf(deliveries[0])))
    ).flat();
    const attempted = events.filter((event) => event.type === 'DeliveryAttempted');
    // The tenth failure opens the breaker; the other place of the lane may have been taken by then.
    expect([10, 11]).toContain(attempted.length);
    const putOff = events.filter((event) => event.type === 'DeliveryDeferred');
    expect(putOff).toHaveLength(40 - attempted.length);
    const firstAt = Math.min(...attempted.map(({ startedAt }) => startedAt));
    for (const event of putOff) {
      expect(event.reason).toBe('breaker_open');
      expect(event.until - firstAt).toBeGreaterThanOrEqual(30_000);
    }
    expect(receiver.at('/down')).toHaveLength(attempted.length);
  });

  it('keeps to the rate an endpoint asks for, also when the rate changes', async () => {
    actor = await stage.start();
    const rateLimit = { count: 3, periodSeconds: 3_600 };
    const limited = await stage.configureEndpoint(receiver.url('/limited'), { rateLimit });
    const published = await stage.publishMany(10, limited);
    const events = (
      await Promise.all(published.map(({ deliveries }) => stage.eventsOf(deliveries[0])))
    ).flat();
    expect(events.filter(({ type }) => type === 'DeliveryAttempted')).toHaveLength(3);
    const putOff = events.filter((event) => event.type === 'DeliveryDeferred');
    expect(putOff.map(({ reason }) => reason)).toEqual(Array.from({ length: 7 }, () => 'rate_limited'));
    const free = { ...limited, version: 2, rateLimit: null };
    await stage.configure(free);
    const after = await stage.publishMany(5, free);
    expect((await stage.attemptsOf(after)).map(({ outcome }) => outcome)).toEqual(
      Array.from({ length: 5 }, () => 'succeeded'),
    );
  });

  it('sends a message to all its endpoints, and is not done before the slow one is', async () => {
    actor = await stage.start();
    receiver.plan({ path: '/slow', answers: [{ status: 200, delayMs: 500 }] });
    const slow = await stage.configureEndpoint(receiver.url('/slow'));
    const quick = await stage.configureEndpoint(receiver.url('/quick'), { account: slow.account });
    const { deliveries, position } = await stage.publish([slow, quick]);
    await stage.eventsOf(deliveries[1]);
    const isSlowThere = () => stage.events.some((event) => event.delivery === deliveries[0]);
    expect(isSlowThere() || !actor.log.isCommitted(position)).toBe(true);
    await stage.eventsOf(deliveries[0]);
    await actor.log.whenCommitted([position]);
    expect(receiver.at('/slow')).toHaveLength(1);
    expect(receiver.at('/quick')).toHaveLength(1);
  });
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { messagePosition, topics } from '@posthaste/contracts';
import { Receiver } from '@posthaste/test-kit';
import { kafkaLog, type LogUnderTest, memoryLog, postgresLog, startKafka } from './logs.js';
import { type Published, Stage } from './stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

describe.each([
  ['memory', () => memoryLog()],
  ['Postgres', postgresLog],
  ...(startKafka ? [['Kafka', kafkaLog] as [string, () => Promise<LogUnderTest>]] : []),
])('on the %s log the position of a message', (_, openLog) => {
  let log: LogUnderTest;
  let stage: Stage;
  let receiver: Receiver;
  beforeAll(async () => {
    log = await openLog();
    stage = await Stage.prepare(log);
  }, 60_000);
  beforeEach(async () => {
    receiver = await Receiver.start();
  });
  afterEach(async () => {
    await receiver.stop();
    await stage.stopAll();
  });
  afterAll(async () => {
    await stage.close();
    await log.stop();
  });

  const placeOf = ({ position }: Published) => messagePosition(position.partition, position.offset);
  const told = (path: string): unknown[] =>
    receiver.at(path).map(({ headers }) => headers['webhook-position']);

  it('is that of its record, to each of its endpoints and at each attempt', async () => {
    await stage.start();
    const one = await stage.configureEndpoint(receiver.url('/one'));
    const two = await stage.configureEndpoint(receiver.url('/two'), { account: one.account, profile: 'ada' });
    const published = [
      await stage.publish([one, two]),
      await stage.publish([one]),
      await stage.publish([one]),
    ];
    const [first] = published as [Published];
    await stage.attemptsOf(published);
    await stage.eventsOf(first.deliveries[1]);
    expect(told('/two')).toEqual([placeOf(first)]);
    const places = published.map(placeOf);
    expect(told('/one').toSorted()).toEqual(places);
    expect(new Set(places).size).toBe(3);
    await stage.publishAgain(first, 2);
    await stage.publishAgain(first, 3);
    const events = await stage.eventsOf(first.deliveries[0], 3);
    const ofFirst = receiver.at('/one').filter(({ webhookId }) => webhookId === first.meta.id);
    expect(ofFirst.map(({ headers }) => headers['webhook-position'])).toEqual(Array(3).fill(placeOf(first)));
    // Also as it is shown.
    const shown = events.map((event) => event.type === 'DeliveryAttempted' && event.request.headers);
    expect(shown).toEqual(Array(3).fill(expect.objectContaining({ 'webhook-position': placeOf(first) })));
  });

  it('stays when another process takes over what was under way', async () => {
    const first = await stage.start({ drainSeconds: 0 });
    receiver.plan({ path: '/stuck', answers: ['hang', 200] });
    const endpoint = await stage.configureEndpoint(receiver.url('/stuck'));
    const published = await stage.publish([endpoint]);
    await receiver.whenReceived(1);
    first.log.die();
    await stage.stop(first);
    await stage.start();
    await stage.attemptsOf([published]);
    expect(told('/stuck')).toEqual([placeOf(published), placeOf(published)]);
  });

  it('is not told where it is not known, nor in a profile that has no such header', async () => {
    await stage.start();
    const old = await stage.configureEndpoint(receiver.url('/old'));
    const meta = stage.meta([old], old.account);
    await stage.append(topics.due, {
      meta: { ...meta, attempt: 2, trigger: 'retry' },
      payload: Buffer.from('{}'),
    });
    const middesk = await stage.configureEndpoint(receiver.url('/middesk'), { profile: 'middesk' });
    await stage.publish([middesk], '{}');
    await receiver.whenReceived(2);
    expect([...told('/old'), ...told('/middesk')]).toEqual([undefined, undefined]);
  });
});

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { newId, topics } from '@posthaste/contracts';
import { MemoryBroker } from '@posthaste/event-log';
import { waitFor } from '@posthaste/test-kit';
import { HeldReceiver } from './held-receiver.js';
import { memoryLog } from './logs.js';
import { type Actor, Stage } from './stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

describe('the dispatcher, when its log', () => {
  let broker: MemoryBroker;
  let stage: Stage;
  let actor: Actor;
  let receiver: HeldReceiver;
  beforeEach(async () => {
    broker = new MemoryBroker();
    stage = await Stage.prepare(await memoryLog(broker));
    actor = await stage.start();
    receiver = await HeldReceiver.start();
  });
  afterEach(async () => {
    await stage.close();
    await receiver.stop();
  });

  it('does not answer for a while: sends nothing twice, and writes the attempt down when it does', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url);
    const published = await stage.publish([endpoint]);
    await receiver.whenReceived(1);
    broker.stopAnswering();
    receiver.answerAll();
    await waitFor(() => actor.log.failedAppends >= 3, { what: 'three appends in vain' });
    expect(actor.log.isCommitted(published.position)).toBe(false);
    broker.answerAgain();
    await stage.attemptsOf([published]);
    await actor.log.whenCommitted([published.position]);
    const after = await stage.publish([endpoint]);
    await stage.attemptsOf([after]);
    expect(receiver.ids).toEqual([published.meta.id, after.meta.id]);
  });

  it('takes the event but never says so: writes it again, and sends nothing twice', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url);
    const published = await stage.publish([endpoint]);
    await receiver.whenReceived(1);
    broker.loseAcknowledgements(1);
    receiver.answerAll();
    const [one, other] = await stage.eventsOf(published.deliveries[0], 2);
    expect(one).toEqual(other);
    await actor.log.whenCommitted([published.position]);
    expect(receiver.ids).toEqual([published.meta.id]);
  });

  it('hands records out twice: sends nothing twice', async () => {
    receiver.answerAll();
    const endpoint = await stage.configureEndpoint(receiver.url);
    const first = await stage.publishMany(3, endpoint);
    await stage.attemptsOf(first);
    broker.duplicateFetches(1);
    const next = await stage.publish([endpoint]);
    await stage.attemptsOf([next]);
    await actor.log.whenCommitted([next.position]);
    expect(receiver.ids.toSorted()).toEqual([...first, next].map(({ meta }) => meta.id).toSorted());
  });

  it('takes all partitions away and gives them back: goes on, and repeats nothing', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url);
    const first = await stage.publishMany(4, endpoint);
    await receiver.whenReceived(4);
    const moving = broker.forceRebalance('dispatcher');
    receiver.answerAll();
    await moving;
    const next = await stage.publishMany(2, endpoint);
    await stage.attemptsOf([...first, ...next]);
    await actor.log.whenCommitted([...first, ...next].map(({ position }) => position));
    expect(receiver.ids.toSorted()).toEqual([...first, ...next].map(({ meta }) => meta.id).toSorted());
  });

  it('holds records that cannot be read: passes over them', async () => {
    receiver.answerAll();
    const endpoint = await stage.configureEndpoint(receiver.url);
    const key = endpoint.account;
    const value = Buffer.from('x');
    const meta = JSON.stringify(stage.meta([endpoint], key));
    const poison = await stage.log.producer.append([
      { topic: topics.messages, key, value },
      { topic: topics.messages, key, value, meta: '{"v":' },
      { topic: topics.messages, key, value, meta: meta.replace('"v":1', '"v":9') },
      { topic: topics.due, key, value, meta },
      { topic: topics.config, key, value: Buffer.from('{"kind":"planet"}') },
      { topic: topics.config, key: newId('endpoint'), value: Buffer.alloc(0) },
    ]);
    const later = await stage.configureEndpoint(receiver.url, { account: key });
    const published = await stage.publish([endpoint, later]);
    await Promise.all(published.deliveries.map((delivery) => stage.eventsOf(delivery)));
    await actor.log.whenCommitted([...poison.slice(0, 4), published.position]);
    expect(receiver.ids).toEqual([published.meta.id, published.meta.id]);
  });
});

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type DueMeta, topics } from '@posthaste/contracts';
import { Receiver } from '@posthaste/test-kit';
import { memoryLog } from './logs.js';
import { type Actor, Stage } from './stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

describe('what the dispatcher knows of an endpoint decides', () => {
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

  /** Configuration is followed in order: who knows this endpoint knows all that was configured before. */
  async function whenConfigurationIsKnown(): Promise<void> {
    const marker = await stage.configureEndpoint(receiver.url('/marker'));
    await stage.attemptsOf([await stage.publish([marker])]);
  }

  it('disabled or deleted after the message was accepted: cancelled, and nothing is sent', async () => {
    const off = await stage.configureEndpoint(receiver.url('/off'));
    const gone = await stage.configureEndpoint(receiver.url('/gone'), { account: off.account });
    await stage.configure({ ...off, version: 2, enabled: false });
    await stage.configure({ ...gone, version: 2, deleted: true });
    await whenConfigurationIsKnown();
    // Routed by the versions before.
    const { deliveries, position } = await stage.publish([off, gone]);
    const [disabled] = await stage.eventsOf(deliveries[0]);
    const [deleted] = await stage.eventsOf(deliveries[1]);
    expect(disabled).toMatchObject({ type: 'DeliveryCancelled', reason: 'endpoint_disabled', attempt: 1 });
    expect(deleted).toMatchObject({ type: 'DeliveryCancelled', reason: 'endpoint_deleted', attempt: 1 });
    await actor.log.whenCommitted([position]);
    expect([...receiver.at('/off'), ...receiver.at('/gone')]).toEqual([]);
  });

  it('its tenant deleted: cancelled', async () => {
    const other = stage.newTenant();
    await other.configureTenant();
    const endpoint = await other.configureEndpoint(receiver.url('/orphan'));
    await other.configureTenant({ version: 2, deleted: true });
    await whenConfigurationIsKnown();
    const { deliveries } = await other.publish([endpoint]);
    const [event] = await stage.eventsOf(deliveries[0]);
    expect(event).toMatchObject({ type: 'DeliveryCancelled', reason: 'endpoint_deleted' });
    expect(receiver.at('/orphan')).toEqual([]);
  });

  it('an older state that comes late changes nothing', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url('/new'), { version: 5 });
    await stage.configure({ ...endpoint, version: 4, url: receiver.url('/old') });
    await whenConfigurationIsKnown();
    const [event] = await stage.attemptsOf([await stage.publish([endpoint])]);
    expect(event).toMatchObject({ endpointVersion: 5, request: { url: receiver.url('/new') } });
  });

  it('not known yet: waited for; not known in time: put off, and the record is done', async () => {
    const { state: late } = stage.newEndpoint(receiver.url('/late'));
    const sent = await stage.publish([late]);
    const changed = await stage.configureEndpoint(receiver.url('/changed'));
    const ahead = await stage.publish([{ ...changed, version: 2 }]);
    await stage.configure(late);
    const [event] = await stage.attemptsOf([sent]);
    expect(event).toMatchObject({ outcome: 'succeeded' });
    const [putOff] = await stage.eventsOf(ahead.deliveries[0]);
    expect(putOff).toMatchObject({ type: 'DeliveryDeferred', reason: 'config_unavailable', attempt: 1 });
    await actor.log.whenCommitted([sent.position, ahead.position]);
    expect(receiver.at('/changed')).toEqual([]);
  });

  it('its secret cannot be opened: put off unsent, until the key comes', async () => {
    const other = stage.newTenant();
    const endpoint = await other.configureEndpoint(receiver.url('/sealed'));
    const { meta, deliveries, position } = await other.publish([endpoint]);
    const [putOff] = await stage.eventsOf(deliveries[0]);
    expect(putOff).toMatchObject({ type: 'DeliveryDeferred', reason: 'config_unavailable', attempt: 1 });
    await actor.log.whenCommitted([position]);
    expect(receiver.at('/sealed')).toEqual([]);

    await other.configureTenant();
    await whenConfigurationIsKnown();
    const due: DueMeta = { ...meta, attempt: 1, trigger: 'publish' };
    await stage.append(topics.due, { meta: due, payload: Buffer.from('{}') });
    const [, sent] = await stage.eventsOf(deliveries[0], 2);
    expect(sent).toMatchObject({ type: 'DeliveryAttempted', outcome: 'succeeded', attempt: 1 });
  });

  it('its secret is not a signing secret: put off, and others of the account are sent', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url('/unsigned'));
    const secrets = endpoint.secrets.map((secret) => ({ ...secret, sealed: 'v1.gone.x.y' }));
    await stage.configure({ ...endpoint, version: 2, secrets });
    const { account } = endpoint;
    const fine = await stage.configureEndpoint(receiver.url('/signed'), { account });
    const { deliveries } = await stage.publish([{ ...endpoint, version: 2 }, fine]);
    const [putOff] = await stage.eventsOf(deliveries[0]);
    const [sent] = await stage.eventsOf(deliveries[1]);
    expect(putOff).toMatchObject({ type: 'DeliveryDeferred', reason: 'config_unavailable' });
    expect(sent).toMatchObject({ type: 'DeliveryAttempted', outcome: 'succeeded' });
    expect(receiver.at('/unsigned')).toEqual([]);
  });
});

import { describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { type Receiver, type SeenDelivery, type TenantClient, waitFor } from '@posthaste/test-kit';
import { Webhook } from 'standardwebhooks';
import { itOn, logsToTest, withParties } from './test-stack.js';

/** What is asked to be sent again: one delivery, or all that an outage left behind. */
describe.each(logsToTest())('sending again, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  const it = itOn(() => stack);
  withParties(start, (parties) => ({ stack, receiver, tenant } = parties));

  const deliveriesWhen = (account: string, count: number, status: string): Promise<SeenDelivery[]> =>
    waitFor(
      async () => {
        const deliveries = await tenant.deliveries(account, `?status=${status}`);
        if (deliveries.length === count) return deliveries;
        throw new Error(`${deliveries.length} of ${count}`);
      },
      { what: `${count} deliveries ${status}`, everyMs: 100, deadlineMs: 60_000 },
    );

  it('a resend of a delivered one arrives once more, under its id, marked, and is told apart in the history', async () => {
    await tenant.putAccount('once-more');
    const endpoint = await tenant.createEndpoint('once-more', { url: receiver.url('/once-more') });
    const message = await tenant.publish('once-more', 'order.placed', { n: 1 });
    const [delivery] = (await deliveriesWhen('once-more', 1, 'delivered')) as [SeenDelivery];
    const path = `/v1/deliveries/${delivery.id}/resend`;
    // Asked for twice before the attempt is made, it is one attempt.
    await Promise.all([tenant.rest.ask('POST', path), tenant.rest.ask('POST', path)]);
    const attempts = await waitFor(
      async () => {
        const all = await tenant.attempts(delivery.id);
        return all.length > 1 && all;
      },
      { what: 'a second attempt', everyMs: 100, deadlineMs: 30_000 },
    );
    expect(attempts).toMatchObject([
      { number: 1, trigger: 'publish', requested: null },
      {
        number: 2,
        trigger: 'resend',
        outcome: 'succeeded',
        requested: { by: tenant.keyId, replay_id: null },
      },
    ]);
    const [first, second] = receiver.at('/once-more');
    expect(receiver.at('/once-more')).toHaveLength(2);
    expect([first?.webhookId, second?.webhookId]).toEqual([message.id, message.id]);
    expect([first?.headers['webhook-replay'], second?.headers['webhook-replay']]).toEqual([
      undefined,
      'true',
    ]);
    expect(second?.body).toEqual(first?.body);
    const verifier = new Webhook(await tenant.secretOf(endpoint.id));
    verifier.verify(String(second?.body), second?.headers as Record<string, string>);
    expect(await tenant.delivery(delivery.id)).toMatchObject({ status: 'delivered', attempts: 2 });
  });

  /** An account with so many deliveries, every third of which is exhausted; answers their messages. */
  async function lackingSome(
    account: string,
    count: number,
  ): Promise<{ endpoint: string; lacking: string[] }> {
    await tenant.putAccount(account);
    const path = `/${account}`;
    const refused = new Set<string>();
    let asked = 0;
    receiver.plan({
      path,
      answers: ({ webhookId }) => {
        if (asked++ % 3 !== 0) return 200;
        refused.add(webhookId);
        return 503;
      },
    });
    const retry_policy = { preset: 'none' };
    const { id } = await tenant.createEndpoint(account, { url: receiver.url(path), retry_policy });
    for (let n = 0; n < count; n++) await tenant.publish(account, 'order.placed', { n });
    await deliveriesWhen(account, count / 3, 'exhausted');
    receiver.plan({ path, answers: [200] });
    return { endpoint: id, lacking: [...refused].sort() };
  }

  const replayed = (account: string): string[] =>
    receiver
      .at(`/${account}`)
      .filter(({ headers }) => headers['webhook-replay'] === 'true')
      .map(({ webhookId }) => webhookId)
      .sort();

  const replayWhen = (id: string, is: (replay: Replay) => boolean, what: string): Promise<Replay> =>
    waitFor(
      async () => {
        const replay = await tenant.rest.ask<Replay>('GET', `/v1/replays/${id}`);
        if (is(replay)) return replay;
        throw new Error(JSON.stringify(replay));
      },
      { what, everyMs: 100, deadlineMs: 60_000 },
    );
  const isMade = ({ status, requested, succeeded, failed }: Replay): boolean =>
    status !== 'running' && succeeded + failed === requested;

  it('recovering an endpoint sends each delivery it lacks once, and says who asked', async () => {
    const since = new Date(Date.now() - 1_000).toISOString();
    const { endpoint, lacking } = await lackingSome('lacking', 60);
    const path = `/v1/endpoints/${endpoint}/recover`;
    const dry = await tenant.rest.ask<Replay>('POST', path, { body: { since, dry_run: true } });
    expect(dry).toMatchObject({ id: null, status: 'dry_run', total: 20, requested: 0 });
    expect(dry.sample).toHaveLength(10);
    const { id } = await tenant.rest.ask<Replay>('POST', path, { body: { since } });
    expect(await replayWhen(id, isMade, 'the replay done')).toMatchObject({
      endpoint_id: endpoint,
      status: 'completed',
      requested_by: tenant.keyId,
      ...{ total: 20, requested: 20, succeeded: 20, failed: 0 },
    });
    await deliveriesWhen('lacking', 60, 'delivered');
    expect(replayed('lacking')).toEqual(lacking);
    const [delivery = ''] = dry.sample ?? [];
    expect(await tenant.attempts(delivery)).toMatchObject([
      { number: 1, trigger: 'publish', outcome: 'failed', requested: null },
      { number: 2, trigger: 'recover', outcome: 'succeeded', requested: { by: tenant.keyId, replay_id: id } },
    ]);
    const { data } = await tenant.rest.ask<{ data: Replay[] }>('GET', '/v1/replays');
    expect(data.map((replay) => replay.id)).toContain(id);
    // Nothing is lacking any more.
    expect(await tenant.rest.ask('POST', path, { body: { since, dry_run: true } })).toMatchObject({
      total: 0,
    });
  });

  it('an endpoint that was disabled while it was down, and is enabled again, is sent at once what was cancelled', async () => {
    const since = new Date(Date.now() - 1_000).toISOString();
    await tenant.putAccount('down');
    receiver.plan({ path: '/down', answers: [503] });
    const retry_policy = { schedule_seconds: [600] };
    const { id } = await tenant.createEndpoint('down', { url: receiver.url('/down'), retry_policy });
    const messages: string[] = [];
    for (let n = 0; n < 6; n++) messages.push((await tenant.publish('down', 'order.placed', { n })).id);
    await deliveriesWhen('down', 6, 'retrying');
    await tenant.updateEndpoint(id, { enabled: false });
    await deliveriesWhen('down', 6, 'cancelled');
    const recover = (): Promise<{ status: number }> =>
      tenant.rest.send('POST', `/v1/endpoints/${id}/recover`, { body: { since } });
    expect((await recover()).status).toBe(409);
    receiver.plan({ path: '/down', answers: [200] });
    await tenant.updateEndpoint(id, { enabled: true });
    expect((await recover()).status).toBe(202);
    await deliveriesWhen('down', 6, 'delivered');
    expect(replayed('down')).toEqual(messages.sort());
  });

  it('a replay that is paused goes on when it is resumed, and requests nothing more once it is cancelled', async () => {
    const since = new Date(Date.now() - 1_000).toISOString();
    const { endpoint, lacking } = await lackingSome('steered', 90);
    const body = { since, rate_per_second: 4 };
    const { id } = await tenant.rest.ask<Replay>('POST', `/v1/endpoints/${endpoint}/recover`, { body });
    const steer = (how: string): Promise<Replay> => tenant.rest.ask('POST', `/v1/replays/${id}/${how}`);
    await replayWhen(id, ({ requested }) => requested > 0, 'a first page');
    const paused = await steer('pause');
    expect(paused.status).toBe('paused');
    expect(await replayWhen(id, isMade, 'all that was requested made')).toMatchObject({
      requested: paused.requested,
    });
    expect(replayed('steered')).toHaveLength(paused.requested);
    expect((await steer('resume')).status).toBe('running');
    await replayWhen(id, ({ requested }) => requested > paused.requested, 'another page');
    const cancelled = await steer('cancel');
    expect(cancelled).toMatchObject({ status: 'cancelled', total: 30 });
    expect(cancelled.requested).toBeLessThan(30);
    expect((await steer('resume')).status).toBe('cancelled');
    await replayWhen(id, isMade, 'all that was requested made');
    const sent = replayed('steered');
    expect(sent).toHaveLength(cancelled.requested);
    expect(new Set(sent).size).toBe(sent.length);
    for (const message of sent) expect(lacking).toContain(message);
  });
});

interface Replay {
  id: string;
  status: string;
  total: number;
  requested: number;
  succeeded: number;
  failed: number;
  sample: string[] | null;
}

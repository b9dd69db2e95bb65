import { describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { type Receiver, type ReceivedRequest, type TenantClient, waitFor } from '@posthaste/test-kit';
import { itOn, logsToTest, withParties } from './test-stack.js';

interface Sent {
  key: string;
  n: number;
}
const sentIn = ({ body }: ReceivedRequest): Sent => JSON.parse(body.toString()) as Sent;

describe.each(logsToTest())('messages of one ordering key, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  const it = itOn(() => stack);
  withParties(start, (parties) => ({ stack, receiver, tenant } = parties));

  /** An account whose endpoint orders by key. */
  async function ordered(name: string, fields: object = {}): Promise<void> {
    await tenant.putAccount(name);
    const endpoint = { url: receiver.url(`/${name}`), ordering: 'by_key', ...fields };
    await tenant.rest.ask('POST', `/v1/accounts/${name}/endpoints`, { body: endpoint });
  }

  function publish(account: string, sent: Sent[]): Promise<unknown> {
    const messages = sent.map((payload) => ({ event_type: 'a.b', payload, ordering_key: payload.key }));
    return tenant.rest.ask('POST', `/v1/accounts/${account}/messages/batch`, { body: { messages } });
  }

  /** What was taken of a key, each once, in the order it was taken first. */
  function taken(account: string, key: string): number[] {
    const numbers = receiver
      .at(`/${account}`)
      .filter(({ status }) => status === 200)
      .map(sentIn)
      .filter((sent) => sent.key === key)
      .map(({ n }) => n);
    return [...new Set(numbers)];
  }

  const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
  const whenTaken = (account: string, key: string, count: number): Promise<boolean> =>
    waitFor(
      () => {
        const numbers = taken(account, key);
        if (numbers.length >= count) return true;
        throw new Error(`of ${key}: ${numbers.join()}`);
      },
      { what: `${count} of ${key}`, everyMs: 100, deadlineMs: 60_000 },
    );

  it('arrive in order although some fail, and a dispatcher is killed; other keys do not wait', async () => {
    const retry_policy = { schedule_seconds: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5] };
    await ordered('keys', { retry_policy });
    const seen = new Map<string, number>();
    receiver.plan({
      path: '/keys',
      answers: (request) => {
        const { key, n } = sentIn(request);
        const times = (seen.get(`${key}${n}`) ?? 0) + 1;
        seen.set(`${key}${n}`, times);
        return key !== 'steady' && n % 7 === 3 && times <= 2 ? 500 : 200;
      },
    });
    for (let from = 0; from < 60; from += 10) {
      const numbers = upTo(60).slice(from, from + 10);
      await publish(
        'keys',
        numbers.flatMap((n) => ['a', 'b', 'steady'].map((key) => ({ key, n }))),
      );
      if (from === 30) await stack.process('dispatcher').kill('SIGKILL');
    }
    for (const key of ['steady', 'a', 'b']) await whenTaken('keys', key, 60);
    for (const key of ['a', 'b', 'steady']) expect(taken('keys', key)).toEqual(upTo(60));
  });

  it('go on behind one that is exhausted, or wait until it is cancelled, as the endpoint wants it', async () => {
    const fields = { retry_policy: { schedule_seconds: [0.1] } };
    await ordered('skips', { ...fields, on_exhausted: 'skip' });
    await ordered('blocks', { ...fields, on_exhausted: 'block' });
    for (const account of ['skips', 'blocks']) {
      receiver.plan({
        path: `/${account}`,
        answers: (request) => (sentIn(request).n === 1 ? 500 : 200),
      });
      await publish(
        account,
        upTo(5).flatMap((n) => ['k', 'other'].map((key) => ({ key, n: key === 'k' ? n : n + 10 }))),
      );
    }
    await whenTaken('skips', 'k', 4);
    expect(taken('skips', 'k')).toEqual([0, 2, 3, 4]);
    await whenTaken('blocks', 'other', 5);
    const exhausted = await waitFor(
      async () => (await tenant.deliveries('blocks', '?status=exhausted'))[0] ?? false,
      { what: 'the exhausted delivery', everyMs: 100 },
    );
    // Published after all this, and behind it all the same.
    await publish('blocks', [{ key: 'k', n: 5 }]);
    await waitFor(async () => (await tenant.deliveries('blocks', '?status=deferred')).length === 4, {
      what: 'four deliveries behind it',
      everyMs: 100,
    });
    expect(taken('blocks', 'k')).toEqual([0]);
    await tenant.rest.ask('POST', `/v1/deliveries/${exhausted.id}/cancel`);
    await whenTaken('blocks', 'k', 5);
    expect(taken('blocks', 'k')).toEqual([0, 2, 3, 4, 5]);
  });
});

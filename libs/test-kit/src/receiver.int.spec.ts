import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Receiver } from './receiver.js';

const post = (url: string, body: string, id = 'msg_1'): Promise<Response> =>
  fetch(url, { method: 'POST', body, headers: { 'webhook-id': id } });

describe('the test receiver', () => {
  let receiver: Receiver;
  beforeEach(async () => {
    receiver = await Receiver.start();
  });
  afterEach(() => receiver.stop());

  it('keeps the exact body and answers 200 unless told otherwise', async () => {
    const body = '{"n":12345678901234567890, "a":1,"a":2}';
    expect((await post(receiver.url('/in?x=1'), body)).status).toBe(200);
    expect(receiver.requests).toMatchObject([
      { method: 'POST', path: '/in?x=1', webhookId: 'msg_1', status: 200 },
    ]);
    expect(receiver.requests[0]?.body.toString()).toBe(body);
  });

  it('answers its plan in turn, the last answer for ever, and only where the plan applies', async () => {
    receiver.plan({ path: '/a', answers: [503, { status: 429, headers: { 'retry-after': '7' } }, 204] });
    receiver.plan({ webhookId: 'msg_2', answers: [410] });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await post(receiver.url('/a'), 'x')).status);
    expect(statuses).toEqual([503, 429, 204, 204]);
    expect((await post(receiver.url('/b'), 'x')).status).toBe(200);
    expect((await post(receiver.url('/b'), 'x', 'msg_2')).status).toBe(410);
    expect(receiver.at('/a').map(({ status }) => status)).toEqual([503, 429, 204, 204]);
  });

  it('wakes who waits on the request that fulfils the wait, and says how many came when it does not', async () => {
    const waiting = receiver.whenReceived(2, ({ path }) => path === '/w');
    await post(receiver.url('/other'), 'x');
    await post(receiver.url('/w'), '1');
    await post(receiver.url('/w'), '2');
    expect((await waiting).map(({ body }) => body.toString())).toEqual(['1', '2']);
    await expect(receiver.whenReceived(3, ({ path }) => path === '/w', 1)).rejects.toThrow('2 of 3');
  });

  it('can leave a request unanswered, and drip an answer', async () => {
    receiver.plan({ path: '/hang', answers: ['hang'] });
    receiver.plan({ path: '/drip', answers: [{ status: 200, body: 'abc', dripMs: 1 }] });
    const hanging = post(receiver.url('/hang'), 'x').then(
      () => 'answered',
      () => 'cut',
    );
    expect(await (await post(receiver.url('/drip'), 'x')).text()).toBe('abc');
    const [request] = await receiver.whenReceived(1, ({ path }) => path === '/hang');
    expect(request?.status).toBeNull();
    await receiver.stop();
    expect(await hanging).toBe('cut');
    receiver = await Receiver.start();
  });
});

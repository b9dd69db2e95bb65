import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { RestClient, seedTenant, StreamClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { LinkupProgram, type Wrapper } from './linkup-program.js';
import { itOn, startTestStack } from './test-stack.js';

const STREAMS = 1_000;
const MOST_MB = 300;

let stack: Stack;
let tenant: TenantClient;
let linkup: LinkupProgram;
const it = itOn(() => stack);

beforeAll(async () => {
  stack = await startTestStack();
  tenant = await seedTenant(stack.url, stack.operatorKey);
  linkup = new LinkupProgram(stack.url, tenant.key);
}, 180_000);
afterAll(() => stack.stop(), 60_000);

/** The most memory the process has had at any time. */
function peakMb(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1_024;
}

const numberIn = (data: string): number => (JSON.parse(data) as Wrapper).event.n;

describe(`${STREAMS} streams of hosted webhooks`, () => {
  it(`are served by one process in less than ${MOST_MB} MB, and each gets every event`, async () => {
    // Most accounts have few clients, and one has many.
    const accounts = Array.from({ length: 11 }, (_, i) => `many-${i}`);
    const webhooks = await Promise.all(
      accounts.map(async (account) => {
        await tenant.putAccount(account);
        return { account, ...(await linkup.make({ account_id: account })) };
      }),
    );
    const followed = Array.from({ length: STREAMS }, (_, i) => webhooks[i < STREAMS / 2 ? 0 : 1 + (i % 10)]);
    const clients: StreamClient[] = [];
    for (let from = 0; from < STREAMS; from += 50) {
      const some = followed.slice(from, from + 50).map((webhook) => {
        return StreamClient.open(`${stack.url}${webhook?.stream_url}?api_key=${tenant.key}`, {});
      });
      clients.push(...(await Promise.all(some)));
    }
    const each = (what: string, is: (client: StreamClient) => boolean): Promise<unknown> =>
      waitFor(() => clients.every(is), { what, everyMs: 100, deadlineMs: 60_000 });
    await each('a stream that is connected', ({ events }) => events.length === 1);
    for (const { events } of clients) expect(events[0]?.event).toBe('connected');

    const count = 20;
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    for (const { account } of webhooks) {
      const messages = numbers.map((n) => ({
        ...{ event_type: 'message_received', payload: { type: 'message', n, text: 'x'.repeat(1_000) } },
      }));
      const rest = new RestClient(stack.url, tenant.key);
      await rest.ask('POST', `/v1/accounts/${account}/messages/batch`, { body: { messages } });
    }
    await each(`${count} events on a stream`, ({ events }) => events.length > count);
    for (const { events } of clients) {
      expect(events.slice(1).map(({ data }) => numberIn(data))).toEqual(numbers);
    }
    const peak = peakMb(stack.processes['management-api'] ?? 0);
    console.log(`${STREAMS} streams: at most ${peak.toFixed(0)} MB`);
    expect(peak).toBeGreaterThan(0);
    expect(peak).toBeLessThan(MOST_MB);
    for (const client of clients) client.close();
  }, 180_000);
});

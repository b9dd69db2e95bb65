import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Source } from '@posthaste/contracts';
import { openEventLog } from '@posthaste/event-log';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import { type ApiUnderTest, KEKS, startApi } from '../proving/api-under-test.js';
import { type LoggedMessage, loggedMessages } from '../proving/logged-messages.js';
import { startPostgres } from '../proving/test-bed.js';
import { Upstream } from '../proving/upstream.js';

const EVENTS = 300;
const SOURCE = '/v1/accounts/acme/source';

describe('the process that reads a source', () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  let upstream: Upstream;
  let api: ApiUnderTest | undefined;
  let child: ChildProcess | undefined;
  let tenant: TenantClient;

  /** A source is configured; the one replica that did so is gone again, and the child reads. */
  beforeEach(async () => {
    server = await startPostgres();
    upstream = await Upstream.start();
    const first = await startApi(server.postgres.url);
    tenant = await first.newTenant();
    await tenant.putAccount('acme');
    await tenant.rest.ask('POST', '/v1/accounts/acme/endpoints', {
      body: { profile: 'linkup', mode: 'feed' },
    });
    await tenant.rest.ask('PUT', SOURCE, { body: { url: upstream.url() } });
    await upstream.whenOpen(1);
    await first.stop();
    await upstream.whenOpen(0);
    child = await startChild(server.postgres.url);
    await upstream.whenOpen(1);
  }, 90_000);
  afterEach(async () => {
    child?.kill('SIGKILL');
    await api?.stop();
    await upstream.stop();
    await server.remove();
  }, 30_000);

  const startChild = (databaseUrl: string): Promise<ChildProcess> => {
    const folder = import.meta.dirname;
    const started = fork(path.join(folder, '../proving/source-streams.main.ts'), [databaseUrl, KEKS], {
      execArgv: [
        '--experimental-transform-types',
        '--disable-warning=ExperimentalWarning',
        '--import',
        path.join(folder, '../../../../tools/typescript-sources.mjs'),
      ],
    });
    return new Promise((resolve, reject) => {
      started.once('message', () => resolve(started));
      started.once('exit', (code) => reject(new Error(`the child ended with ${code}`)));
    });
  };
  const messages = async (): Promise<LoggedMessage[]> => {
    const log = await openEventLog({ kind: 'postgres', url: server.postgres.url });
    return loggedMessages(log).finally(() => log.close());
  };
  /** Sends the events one after the other while something else happens. */
  const sendAll = async (): Promise<void> => {
    for (let n = 1; n <= EVENTS; n++) {
      upstream.send(String(n), 'message_received', { n });
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const numbersById = async (): Promise<Map<string, number>> =>
    new Map((await messages()).map(({ meta, payload }) => [meta.id, JSON.parse(payload.toString()).n]));
  const allNumbers = Array.from({ length: EVENTS }, (_, i) => i + 1);

  it('is succeeded within 15 s of kill -9: no event is lost, and none is two messages', async () => {
    api = await startApi(server.postgres.url);
    const reading = tenant.through(api.url).rest;
    const sending = sendAll();
    await waitFor(async () => (await numbersById()).size > 20);
    expect(upstream.requests).toHaveLength(2);
    child?.kill('SIGKILL');
    const killedAt = performance.now();
    await upstream.whenOpen(0);
    await waitFor(() => upstream.requests.length === 3, { deadlineMs: 15_000, what: 'a successor' });
    console.log(`taken over after ${((performance.now() - killedAt) / 1_000).toFixed(1)} s`);
    await sending;
    await waitFor(async () => (await reading.get<Source>(SOURCE)).json.last_event_id === String(EVENTS));
    const found = await numbersById();
    expect([...found.values()].sort((a, b) => a - b)).toEqual(allNumbers);
    expect(Number(upstream.requests[2]?.headers['last-event-id'])).toBeGreaterThan(0);
    const shown = (await reading.get<Source>(SOURCE)).json;
    expect([shown.state.status, shown.dropped_events]).toEqual(['open', 0]);
  }, 90_000);

  it('stops publishing before another starts, when it is only frozen', async () => {
    const sending = sendAll();
    await waitFor(async () => (await numbersById()).size > 20);
    child?.kill('SIGSTOP');
    api = await startApi(server.postgres.url);
    const reading = tenant.through(api.url).rest;
    await waitFor(() => upstream.requests.length === 3, { deadlineMs: 15_000, what: 'a successor' });
    child?.kill('SIGCONT');
    await upstream.whenOpen(1);
    await sending;
    await waitFor(async () => (await reading.get<Source>(SOURCE)).json.last_event_id === String(EVENTS));
    expect([...(await numbersById()).values()].sort((a, b) => a - b)).toEqual(allNumbers);
  }, 90_000);
});

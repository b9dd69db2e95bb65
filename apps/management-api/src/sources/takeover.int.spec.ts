import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Source } from '@posthaste/contracts';
import { openEventLog } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { forkSource, type TenantClient, Upstream, waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { type ApiUnderTest, KEKS, startApi } from '../proving/api-under-test.js';
import { type LoggedMessage, loggedMessages } from '../proving/logged-messages.js';

const EVENTS = 300;
const numberIn = (payload: Buffer): number => (JSON.parse(payload.toString()) as { n: number }).n;
const SOURCE = '/v1/accounts/acme/source';

describe('the process that reads a source', () => {
  let server: TemporaryPostgres;
  let upstream: Upstream;
  let api: ApiUnderTest | undefined;
  let child: ChildProcess | undefined;
  let tenant: TenantClient;
  let leasesAfterStop: unknown[] = [];

  /** A source is configured; the one replica that did so is gone again, and the child reads. */
  beforeEach(async () => {
    server = await startTemporaryPostgres('takeover');
    upstream = await Upstream.start();
    const first = await startApi(server.url);
    tenant = await first.newTenant();
    await tenant.putAccount('acme');
    await tenant.rest.ask('POST', '/v1/accounts/acme/endpoints', {
      body: { profile: 'linkup', mode: 'feed' },
    });
    await tenant.rest.ask('PUT', SOURCE, { body: { url: upstream.url() } });
    await upstream.whenOpen(1);
    await first.stop();
    leasesAfterStop = await leases();
    await upstream.whenOpen(0);
    child = await startChild(server.url);
    await upstream.whenOpen(1);
  }, 90_000);
  afterEach(async () => {
    child?.kill('SIGKILL');
    await api?.stop();
    await upstream.stop();
    await server.remove();
  }, 30_000);

  const leases = async (): Promise<unknown[]> => {
    const pool = new pg.Pool({ connectionString: server.url, max: 1 });
    const { rows } = await pool.query<{ owner: string | null; lease_until: Date | null }>(
      'select owner, lease_until from config.source_stream',
    );
    return pool.end().then(() => rows);
  };
  const startChild = (databaseUrl: string): Promise<ChildProcess> => {
    const program = path.join(import.meta.dirname, '../proving/source-streams.main.ts');
    const started = forkSource(program, [databaseUrl, KEKS]);
    return new Promise((resolve, reject) => {
      started.once('message', () => resolve(started));
      started.once('exit', (code) => reject(new Error(`the child ended with ${code}`)));
    });
  };
  const messages = async (): Promise<LoggedMessage[]> => {
    const log = await openEventLog({ kind: 'postgres', url: server.url });
    return loggedMessages(log).finally(() => log.close());
  };
  const send = (from: number, to: number): void => {
    for (let n = from; n <= to; n++) upstream.send(String(n), 'message_received', { n });
  };
  const numbersById = async (): Promise<Map<string, number>> =>
    new Map((await messages()).map(({ meta, payload }) => [meta.id, numberIn(payload)]));
  const allNumbers = Array.from({ length: EVENTS }, (_, i) => i + 1);

  it('gives its lease back at a stop, and is succeeded within 15 s of kill -9: no event is lost, and none is two messages', async () => {
    expect(leasesAfterStop).toEqual([{ owner: null, lease_until: null }]);
    api = await startApi(server.url);
    const reading = tenant.through(api.url).rest;
    send(1, EVENTS / 2);
    await waitFor(async () => (await numbersById()).size > 0);
    expect(upstream.requests).toHaveLength(2);
    child?.kill('SIGKILL');
    const killedAt = performance.now();
    await upstream.whenOpen(0);
    send(EVENTS / 2 + 1, EVENTS);
    await waitFor(() => upstream.requests.length === 3, { deadlineMs: 15_000, what: 'a successor' });
    console.log(`taken over after ${((performance.now() - killedAt) / 1_000).toFixed(1)} s`);
    await waitFor(async () => (await reading.get<Source>(SOURCE)).json.last_event_id === String(EVENTS));
    expect([...(await numbersById()).values()].sort((a, b) => a - b)).toEqual(allNumbers);
    const shown = (await reading.get<Source>(SOURCE)).json;
    expect([shown.state.status, shown.dropped_events]).toEqual(['open', 0]);
  }, 90_000);

  it('is succeeded in all of its sources at once', async () => {
    const sources = 1_000;
    const pool = new pg.Pool({ connectionString: server.url, max: 1 });
    const copies = (table: string, own: string): Promise<unknown> =>
      pool.query(
        `insert into config.${table} overriding user value
         select (jsonb_populate_record(t, ${own})).* from config.${table} t, generate_series(2, ${sources}) n`,
      );
    await copies('account', `jsonb_build_object('id', t.id || n, 'uid', t.uid || n)`);
    await copies('source', `jsonb_build_object('id', t.id || n, 'account', t.account || n)`);
    await copies(
      'source_stream',
      `jsonb_build_object('account', t.account || n, 'owner', null, 'lease_until', null)`,
    );
    await copies('monitoring_period', `jsonb_build_object('account', t.account || n)`);
    await pool.end();
    await upstream.whenOpen(sources);
    api = await startApi(server.url);
    child?.kill('SIGKILL');
    const killedAt = performance.now();
    await waitFor(() => upstream.requests.length === 1 + 2 * sources, {
      ...{ deadlineMs: 15_000, what: `${sources} successors` },
    });
    console.log(`taken over after ${((performance.now() - killedAt) / 1_000).toFixed(1)} s`);
    await upstream.whenOpen(sources);
  }, 90_000);

  it('stops publishing before another starts, when it was only frozen', async () => {
    api = await startApi(server.url);
    const reading = tenant.through(api.url).rest;
    send(1, EVENTS / 2);
    await waitFor(async () => (await numbersById()).size > 0);
    child?.kill('SIGSTOP');
    // These wait for it in its socket.
    send(EVENTS / 2 + 1, EVENTS);
    await waitFor(() => upstream.requests.length === 3, { deadlineMs: 15_000, what: 'a successor' });
    child?.kill('SIGCONT');
    await upstream.whenOpen(1);
    await waitFor(async () => (await reading.get<Source>(SOURCE)).json.last_event_id === String(EVENTS));
    expect([...(await numbersById()).values()].sort((a, b) => a - b)).toEqual(allNumbers);
    expect((await reading.get<Source>(SOURCE)).json.state.status).toBe('open');
  }, 90_000);
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Health, startOpsServer, startTelemetry } from './index.js';

describe('the ops port', () => {
  const health = new Health();
  const telemetry = startTelemetry({ service: 'test' });
  let ops: Awaited<ReturnType<typeof startOpsServer>>;
  let url: string;
  let reason: string | null = 'warming up';

  beforeAll(async () => {
    health.addCheck('cache', () => reason);
    ops = await startOpsServer('127.0.0.1', 0, health, telemetry);
    url = `http://127.0.0.1:${ops.port}`;
  });
  afterAll(async () => {
    await ops.stop();
    await telemetry.stop();
  });

  it('is ready only when every check passes, and says what is missing', async () => {
    const waiting = await fetch(`${url}/readyz`);
    expect(waiting.status).toBe(503);
    expect(await waiting.json()).toEqual({ status: 'not ready', failures: { cache: 'warming up' } });
    reason = null;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('serves what a service adds, by the methods it knows, and nothing a browser sends by itself', async () => {
    health.addRoute('/switch', (method) =>
      Promise.resolve(method === 'POST' ? { status: 202, body: { switched: true } } : undefined),
    );
    const ask = (method: string, type = 'application/json') =>
      fetch(`${url}/switch`, { method, headers: { 'content-type': type } });
    const switched = await ask('POST');
    expect([switched.status, await switched.json()]).toEqual([202, { switched: true }]);
    expect((await ask('POST', 'text/plain')).status).toBe(415);
    expect((await ask('GET')).status).toBe(405);
    health.addRoute('/broken', () => Promise.reject(new Error('the database is away')));
    const broken = await fetch(`${url}/broken`);
    expect([broken.status, await broken.json()]).toEqual([503, { status: 'the database is away' }]);
  });

  it('is not ready while what it depends on fails or does not answer, and asks it one question at a time', async () => {
    let answers: 'well' | 'badly' | 'never' = 'well';
    let asked = 0;
    let release: (() => void) | undefined;
    health.addProbe('database', async () => {
      asked++;
      if (answers === 'badly') throw new Error('connection refused');
      if (answers === 'never') await new Promise<void>((resolve) => (release = resolve));
    });
    const failures = async (): Promise<unknown> =>
      ((await (await fetch(`${url}/readyz`)).json()) as { failures: unknown }).failures;
    expect(await failures()).toEqual({});
    answers = 'badly';
    expect(await failures()).toEqual({ database: 'connection refused' });
    answers = 'never';
    const late = { database: 'no answer within 1500 ms' };
    expect(await Promise.all([failures(), failures()])).toEqual([late, late]);
    expect(asked).toBe(3);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    answers = 'well';
    release?.();
    expect(await failures()).toEqual({});
  });

  it('is alive whatever the checks say', async () => {
    reason = 'database away';
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('serves metrics', async () => {
    telemetry.meter.createCounter('posthaste_things').add(3);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/posthaste_things_total.* 3/);
  });

  it('serves nothing else', async () => {
    expect((await fetch(`${url}/`)).status).toBe(404);
  });
});

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

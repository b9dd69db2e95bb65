import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { topics } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import { tracesInLog } from './histories.js';
import { itOn, logsToTest } from './test-stack.js';
import { type SeenSpan, TraceCollector } from './trace-collector.js';

const ACCOUNT = 'watched';
/** Metrics that only this service has, and that must have counted by the time a message was delivered. */
const OWN_METRICS = {
  'management-api': ['posthaste_messages_accepted_total', 'posthaste_publish_duration_ms_count'],
  dispatcher: ['posthaste_attempts_total', 'posthaste_endpoints_known'],
  'retry-scheduler': ['posthaste_projection_records_total', 'posthaste_schedule_releases_total'],
  'audit-log': ['posthaste_projection_records_total', 'posthaste_projection_delay_seconds_count'],
};
const services = Object.keys(OWN_METRICS) as (keyof typeof OWN_METRICS)[];
const METRIC_LINE = /^[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{[^}]*\})? (?:[-+0-9.e]+|NaN|[+-]Inf)(?: \d+)?$/;

describe.each(logsToTest())('what operators see, log: $log', ({ start, openLog, takeAway }) => {
  let stack: Stack;
  let receiver: Receiver;
  let collector: TraceCollector;
  let tenant: TenantClient;
  const it = itOn(() => stack);

  beforeAll(async () => {
    collector = await TraceCollector.start();
    stack = await start({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '100' },
    });
    receiver = await Receiver.start();
    tenant = await seedTenant(stack.url, stack.operatorKey);
    await tenant.putAccount(ACCOUNT);
    const retry_policy = { schedule_seconds: [0.1] };
    await tenant.createEndpoint(ACCOUNT, { url: receiver.url('/watched'), retry_policy });
  }, 180_000);
  afterAll(async () => {
    await stack.stop();
    await receiver.stop();
    await collector.stop();
  }, 60_000);

  /** A message published by a caller who traces, as a fresh trace of its own. */
  async function publishTraced(): Promise<{ caller: string; trace: string; message: string }> {
    const [trace, caller] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
    const { id } = await tenant.rest.ask<{ id: string }>('POST', `/v1/accounts/${ACCOUNT}/messages`, {
      body: { event_type: 'order.placed', payload: {} },
      headers: { traceparent: `00-${trace}-${caller}-01` },
    });
    return { caller, trace, message: id };
  }

  const ops = (service: string, route: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${opsPortOf(stack, service)}${route}`, { headers: { connection: 'close' } });

  it('is one trace from publish over dispatch to attempt, which the records carry', async () => {
    const { caller, trace, message } = await publishTraced();
    const spans = await collector.whenSpans(trace, 3);
    const named = (name: string): SeenSpan | undefined => spans.find((span) => span.name === name);
    const [publish, dispatch, attempt] = [
      named('message.publish'),
      named('delivery.dispatch'),
      named('delivery.attempt'),
    ];
    expect(spans).toHaveLength(3);
    expect(publish).toMatchObject({ service: 'management-api', parentSpanId: caller });
    expect(dispatch).toMatchObject({ service: 'dispatcher', parentSpanId: publish?.spanId });
    expect(attempt).toMatchObject({ service: 'dispatcher', parentSpanId: dispatch?.spanId });
    const records = await tracesInLog(await openLog(stack), message);
    expect(records).toEqual([
      { topic: topics.messages.name, trace: `00-${trace}-${publish?.spanId}-01` },
      { topic: topics.deliveries.name, trace: `00-${trace}-${dispatch?.spanId}-01` },
    ]);
  });

  it('is counted by each service, in the words of Prometheus', async () => {
    receiver.plan({ path: '/watched', answers: [500, 200] });
    const { id } = await tenant.publish(ACCOUNT, 'order.placed', {});
    await receiver.whenReceived(2, ({ webhookId }) => webhookId === id);
    for (const service of services) {
      const text = await waitFor(
        async () => {
          const answer = await ops(service, '/metrics');
          expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
          const said = await answer.text();
          const missing = OWN_METRICS[service].filter((name) => !(valueOf(said, name) > 0));
          if (missing.length === 0) return said;
          throw new Error(`${service} has not counted ${missing.join(', ')}:\n${said}`);
        },
        { what: `the metrics of ${service}`, everyMs: 100 },
      );
      const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      expect(lines.filter((line) => !METRIC_LINE.test(line))).toEqual([]);
    }
  });

  it('is "not ready", but alive, while the log is away, and ready again after', async () => {
    const readiness = async (): Promise<number[]> =>
      (await Promise.all(services.map((service) => ops(service, '/readyz')))).map(({ status }) => status);
    expect(await readiness()).toEqual([200, 200, 200, 200]);
    if (takeAway === undefined) throw new Error('the brokers are not ours to stop');
    const bringBack = await takeAway(stack);
    const away = { what: 'four times 503', deadlineMs: 30_000 };
    await waitFor(async () => (await readiness()).every((status) => status === 503), away);
    const alive = await Promise.all(services.map((service) => ops(service, '/healthz')));
    expect(alive.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const said = (await (await ops('dispatcher', '/readyz')).json()) as { failures: object };
    expect(Object.keys(said.failures)).toEqual(['log']);
    await bringBack();
    const back = { what: 'four times 200', deadlineMs: 60_000 };
    await waitFor(async () => (await readiness()).every((status) => status === 200), back);
    const { id } = await tenant.publish(ACCOUNT, 'order.placed', {});
    await receiver.whenReceived(1, ({ webhookId }) => webhookId === id, 60_000);
  }, 180_000);
});

/** Of all its labels together; 0 when it is not there. */
function valueOf(text: string, metric: string): number {
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`));
  return lines.reduce((sum, line) => sum + Number(line.replace(/^[^{ ]*(\{[^}]*\})? /, '').split(' ')[0]), 0);
}

/** As the service said at its start. */
function opsPortOf(stack: Stack, service: string): number {
  const log = readFileSync(path.join(stack.dataDir, 'logs', `${service}.log`), 'utf8');
  return Number(/"opsPort":(\d+)/.exec(log)?.[1]);
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Context,
  context,
  type Meter,
  metrics,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

/**
 * Metrics are always on (they cost a number); spans only when a collector is configured. A message's trace goes
 * publish -> log -> dispatch -> attempt through one `trace` header (W3C traceparent) on its records. The spans are our
 * own: automatic instrumentation of the HTTP client alone would halve what a dispatcher can send.
 */
export interface Telemetry {
  meter: Meter;
  tracing: boolean;
  /** Answers a Prometheus scrape. */
  scrape(request: IncomingMessage, response: ServerResponse): void;
  stop(): Promise<void>;
}

export interface TelemetryOptions {
  service: string;
  /** The collector's base URL; undefined switches tracing off. */
  otlpEndpoint?: string | undefined;
  /** The share of traces begun here that are kept, 0..1. */
  sampleRatio?: number;
}

const SCOPE = 'posthaste';

export function startTelemetry({ service, otlpEndpoint, sampleRatio = 1 }: TelemetryOptions): Telemetry {
  const resource = resourceFromAttributes({ 'service.name': service });
  const prometheus = new PrometheusExporter({ preventServerStart: true });
  const meters = new MeterProvider({ resource, readers: [prometheus] });
  metrics.setGlobalMeterProvider(meters);
  const tracers = otlpEndpoint === undefined ? undefined : startTracing(resource, otlpEndpoint, sampleRatio);
  return {
    meter: meters.getMeter(SCOPE),
    tracing: tracers !== undefined,
    scrape: (request, response) => prometheus.getMetricsRequestHandler(request, response),
    stop: async () => {
      await Promise.allSettled([tracers?.shutdown(), meters.shutdown()]);
    },
  };
}

function startTracing(
  resource: ReturnType<typeof resourceFromAttributes>,
  endpoint: string,
  ratio: number,
): TracerProvider {
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
  const provider = new TracerProvider({
    resource,
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return provider;
}

/**
 * Starts a span under the trace a record carried. Costs next to nothing while tracing is off.
 * @param startTime ms since 1970, for what began before; now when not given
 */
export function startSpan(
  name: string,
  kind: 'server' | 'producer' | 'consumer' | 'client',
  parent: string | undefined,
  attributes: Record<string, string | number> = {},
  startTime = Date.now(),
): Span {
  const kinds = {
    server: SpanKind.SERVER,
    producer: SpanKind.PRODUCER,
    consumer: SpanKind.CONSUMER,
    client: SpanKind.CLIENT,
  };
  return trace
    .getTracer(SCOPE)
    .startSpan(name, { kind: kinds[kind], attributes, startTime }, contextOf(parent));
}

/** The span's traceparent, for a record's `trace` header; undefined when it is not recorded. */
export function traceparentOf(span: Span): string | undefined {
  if (!span.isRecording()) return undefined;
  const carrier: { traceparent?: string } = {};
  propagation.inject(trace.setSpan(ROOT_CONTEXT, span), carrier);
  return carrier.traceparent;
}

function contextOf(traceparent: string | undefined): Context {
  return traceparent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });
}

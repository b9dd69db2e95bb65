import { type Bench, residentMb } from '../product/bench-stack.js';
import type { Measurement } from '../results/measurement.js';
import type { WatchedReport } from '../traffic/protocol.js';
import { round } from '../traffic/quantiles.js';
import { measureLoad, openWay, PATIENCE_MS, rate, warmUp } from './load.js';
import { type Show, steady } from './run-speed.js';
import type { Sizes } from './scenarios.js';

const CLIENTS = 100;

/**
 * Attempts at a steady rate, which nobody watches and then many clients do, each all of them: how much later than the
 * attempt an event is with its client, whether each came once, what it costs, and what it does to the deliveries.
 */
export async function runTail(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const { workers, stack } = bench;
  const way = await openWay('tail', bench);
  await warmUp(way, sizes.warmUp(), bench);
  const load = steady(sizes);
  const unwatched = await measureLoad('tail', 'nobody watches', load, way, bench);
  show({ ...unwatched, figures: { 'management-api_mb': apiMb(bench) } });

  const clients = sizes.scaled(CLIENTS);
  const url = `${stack.tenant.rest.url}/v1/tail`;
  await workers.reader.ask({ kind: 'watch', order: { url, headers: stack.headers, clients } });
  const watched = await measureLoad('tail', `watched by ${clients}`, load, way, bench);
  const mb = apiMb(bench);
  // Every message is one attempt: its endpoint answers at once.
  const order = { expected: watched.delivered, patienceMs: PATIENCE_MS };
  const report = await workers.reader.ask<WatchedReport>({ kind: 'watched', order });
  const figures = { clients, ...eventFigures(report), 'management-api_mb': mb };
  show({
    ...watched,
    figures: {
      ...figures,
      'management-api_cpu_ms_per_1000_events': round(
        ((apiCpuMs(watched) - apiCpuMs(unwatched)) * 1_000) / report.events,
      ),
      p99_to_that_unwatched: round(watched.endToEndMs.p99 / unwatched.endToEndMs.p99),
    },
  });
}

function eventFigures(report: WatchedReport): Record<string, number> {
  const { events, missing, repeated, ended, firstAtMs, lastAtMs, lagMs } = report;
  return {
    events,
    events_per_second: rate(events, firstAtMs, lastAtMs),
    event_after_attempt_p50_ms: lagMs.p50,
    event_after_attempt_p99_ms: lagMs.p99,
    events_missing: missing,
    events_repeated: repeated,
    streams_ended: ended,
  };
}

function apiMb({ stack }: Bench): number {
  return new Map(residentMb(stack)).get('management-api') ?? NaN;
}

/** In the whole run; accepting the messages is in it, and the same in both. */
function apiCpuMs({ processes, delivered }: Measurement): number {
  return (processes['management-api']?.cpuSecondsPer1000 ?? NaN) * delivered;
}

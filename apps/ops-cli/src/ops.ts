import { reach } from './api.js';
import { Failure } from './failure.js';

/** What the ops port of a service says of its readiness. */
export type Readiness =
  { kind: 'ready' } | { kind: 'not ready'; failures: Record<string, string> } | { kind: 'away'; why: string };

export async function readinessOf(opsUrl: string): Promise<Readiness> {
  try {
    const answer = await reach(`${opsUrl}/readyz`);
    const body = (await answer.json()) as { failures?: Record<string, string> };
    return answer.ok ? { kind: 'ready' } : { kind: 'not ready', failures: body.failures ?? {} };
  } catch (error) {
    // What answers with something else than JSON is no service of ours.
    return { kind: 'away', why: error instanceof Failure ? error.message : `${opsUrl} is not an ops port` };
  }
}

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** The samples of a page in Prometheus' text format; what is not one is passed over. */
export function samplesOf(page: string): Sample[] {
  return page.split('\n').flatMap((line) => {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$/.exec(line);
    if (!found) return [];
    const labels = [...(found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    const value = Number(found[3]);
    if (Number.isNaN(value)) return [];
    return [
      {
        name: found[1] ?? '',
        labels: Object.fromEntries(labels.map(([, name, text]) => [name ?? '', text ?? ''])),
        value,
      },
    ];
  });
}

/** What tells how far behind a service is, in the order of a message's way; above `most` something is wrong. */
export const lagMetrics: Record<string, { says: string; most?: number }> = {
  posthaste_window_records: { says: 'records taken and not done' },
  posthaste_lane_queue: { says: 'deliveries waiting in lanes' },
  posthaste_lanes_open: { says: 'endpoints that are down: probed, not called' },
  posthaste_attempts_in_flight: { says: 'attempts in flight' },
  posthaste_watermark_age_seconds: { says: 'seconds the slowest partition has not moved', most: 30 },
  posthaste_projection_lag_records: { says: 'records of the log not yet applied' },
  posthaste_projection_catching_up: { says: '1 while it catches up after a start' },
  posthaste_schedule_overdue_seconds: { says: 'seconds the latest due attempt is late', most: 30 },
  posthaste_schedule_index_rows: { says: 'attempts that wait for their time, estimated' },
  posthaste_schedule_parked_rows: { says: 'attempts that wait for their lane, estimated' },
};

export interface Lag {
  service: string;
  metric: string;
  topic: string | null;
  value: number;
  says: string;
}

export async function samplesAt(opsUrl: string): Promise<Sample[]> {
  const answer = await reach(`${opsUrl}/metrics`);
  if (!answer.ok) throw new Failure('failed', `${opsUrl}/metrics answered ${answer.status}`);
  return samplesOf(await answer.text());
}

export async function lagOf(service: string, opsUrl: string): Promise<Lag[]> {
  const samples = await samplesAt(opsUrl);
  return Object.entries(lagMetrics).flatMap(([metric, { says }]) =>
    samples
      .filter(({ name }) => name === metric)
      .map(({ labels, value }) => ({ service, metric, topic: labels['topic'] ?? null, value, says })),
  );
}

import { waitFor } from '@posthaste/test-kit';
import type { BenchStack } from './bench-stack.js';
import { holdingsOf } from './process-cost.js';

/** What a run did to the dispatcher: whether it holds more afterwards, and what it made of the deliveries. */
export interface DispatcherDuring {
  rssMb: { before: number; atEnd: number };
  sockets: { before: number; most: number; atEnd: number };
  /** By outcome: `succeeded` or the error class. */
  attempts: Record<string, number>;
  /** By reason. */
  deferrals: Record<string, number>;
}

const LOOK_EVERY_MS = 1_000;

export class DispatcherWatch {
  private most = 0;
  private readonly timer: NodeJS.Timeout;
  private readonly before;

  private constructor(
    private readonly stack: BenchStack,
    private readonly metricsBefore: string,
  ) {
    this.before = this.look();
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  static async start(stack: BenchStack): Promise<DispatcherWatch> {
    return new DispatcherWatch(stack, await stack.metrics('dispatcher'));
  }

  /** At the end of the load. The answer is called when the deliveries are in, with their number. */
  end(): (delivered: number) => Promise<DispatcherDuring> {
    clearInterval(this.timer);
    const atEnd = this.look();
    const { before, most } = this;
    return async (delivered) => ({
      rssMb: { before: before.rssMb, atEnd: atEnd.rssMb },
      sockets: { before: before.sockets, most, atEnd: atEnd.sockets },
      ...(await this.counted(delivered)),
    });
  }

  /** An attempt is counted when it is in the log, a moment after the receiver has it. */
  private async counted(delivered: number): Promise<Pick<DispatcherDuring, 'attempts' | 'deferrals'>> {
    const what = 'that the dispatcher counted every delivery (it counts anew when it was restarted)';
    const look = async (): Promise<Pick<DispatcherDuring, 'attempts' | 'deferrals'> | null> => {
      const metrics = await this.stack.metrics('dispatcher');
      const since = (name: string, label: string): Record<string, number> =>
        difference(countsOf(this.metricsBefore, name, label), countsOf(metrics, name, label));
      const attempts = since('posthaste_attempts_total', 'outcome');
      if ((attempts.succeeded ?? 0) < delivered) return null;
      return { attempts, deferrals: since('posthaste_deferrals_total', 'reason') };
    };
    return waitFor(look, { what });
  }

  private look(): ReturnType<typeof holdingsOf> {
    const holdings = holdingsOf(this.stack.pids().dispatcher ?? 0);
    this.most = Math.max(this.most, holdings.sockets);
    return holdings;
  }
}

/** A counter by one of its labels, from Prometheus' text format. */
export function countsOf(metrics: string, name: string, label: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of metrics.split('\n')) {
    const match = /^(\w+)\{(.*)\} (\S+)/.exec(line);
    if (match?.[1] !== name) continue;
    const value = new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(match[2] ?? '')?.[1];
    if (value !== undefined) counts[value] = (counts[value] ?? 0) + Number(match[3]);
  }
  return counts;
}

function difference(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const changed = Object.entries(after).map(([key, count]) => [key, count - (before[key] ?? 0)] as const);
  return Object.fromEntries(changed.filter(([, count]) => count > 0));
}

import type { Bench } from '../product/bench-stack.js';
import { runBacklog } from './run-backlog.js';
import { runFaults } from './run-faults.js';
import { runHistoryReads } from './run-history-reads.js';
import { runIdempotent } from './run-idempotent.js';
import { runMemory } from './run-memory.js';
import { runProjection } from './run-projection.js';
import { runReplay } from './run-replay.js';
import { runScaling } from './run-scaling.js';
import { runSoak } from './run-soak.js';
import { runFanOut, runLatency, runThroughput, type Show } from './run-speed.js';
import { runTail } from './run-tail.js';
import type { ScenarioName, Sizes } from './scenarios.js';

/** Every scenario shows each of its runs as it ends. */
export async function runScenario(name: ScenarioName, bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  switch (name) {
    case 'throughput':
      return runThroughput(bench, sizes, show);
    case 'latency':
      return runLatency(bench, sizes, show);
    case 'fan-out':
      return runFanOut(bench, sizes, show);
    case 'backlog':
      return runBacklog(bench, sizes, show);
    case 'idempotent-publish':
      return runIdempotent(bench, sizes, show);
    case 'history-reads':
      return runHistoryReads(bench, sizes, show);
    case 'replay':
      return runReplay(bench, sizes, show);
    case 'tail':
      return runTail(bench, sizes, show);
    case 'projection':
      return runProjection(bench, sizes, show);
    case 'memory':
      return runMemory(bench, sizes, show);
    case 'scaling':
      return runScaling(bench, sizes, show);
    case 'soak':
      return runSoak(bench, sizes, show);
    case 'isolation':
    case 'retry-storm':
    case 'misbehaviour':
    case 'dead-host':
    case 'recovery':
      return runFaults(name, bench, sizes, show);
  }
}

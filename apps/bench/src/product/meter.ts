import { type Bench, whenQuiet } from './bench-stack.js';
import { costOf, type CostPerDelivery, costPerDelivery, type ProcessCost } from './process-cost.js';
import { round } from '../traffic/quantiles.js';
import type { Workers } from '../traffic/worker-process.js';
import type { WrittenBytes } from './written-bytes.js';

/** What a run cost the product, to the end: until its processes have nothing left to do. */
export interface RunCost extends CostPerDelivery {
  bytesPerDelivery: WrittenBytes;
  /** Generator and receiver: no part of the product's, but of the machine's. */
  benchmarkCpuMs: number;
}

/** From the moment the product is quiet until it is quiet again. */
export class Meter {
  private constructor(
    private readonly bench: Bench,
    private readonly costs: Record<string, ProcessCost>,
    private readonly written: WrittenBytes,
    private readonly ownSeconds: number,
  ) {}

  static async start(bench: Bench): Promise<Meter> {
    const { stack, workers } = bench;
    await whenQuiet(stack);
    const written = await stack.written();
    return new Meter(bench, stack.costs(), written, cpuSecondsOfWorkers(workers));
  }

  async read(deliveries: number): Promise<RunCost> {
    const { stack, workers } = this.bench;
    await whenQuiet(stack);
    const { postgresWal, kafkaLog } = await stack.written();
    const each = (bytes: number): number => round(bytes / deliveries, 0);
    return {
      ...costPerDelivery(this.costs, stack.costs(), deliveries),
      bytesPerDelivery: {
        postgresWal: each(postgresWal - this.written.postgresWal),
        kafkaLog: each(kafkaLog - this.written.kafkaLog),
      },
      benchmarkCpuMs: benchmarkCpuMs(this.ownSeconds, workers, deliveries),
    };
  }
}

/** Where the product does not run. */
export const freeOfCost: RunCost = {
  processes: {},
  peakRssMb: 0,
  cpuMsPerDelivery: 0,
  bytesPerDelivery: { postgresWal: 0, kafkaLog: 0 },
  benchmarkCpuMs: 0,
};

/** Of a run that has no product. */
export async function costWithoutProduct<T>(
  workers: Workers,
  run: () => Promise<T>,
  deliveriesOf: (result: T) => number,
): Promise<{ result: T; cost: RunCost }> {
  const before = cpuSecondsOfWorkers(workers);
  const result = await run();
  return {
    result,
    cost: { ...freeOfCost, benchmarkCpuMs: benchmarkCpuMs(before, workers, deliveriesOf(result)) },
  };
}

function benchmarkCpuMs(before: number, workers: Workers, deliveries: number): number {
  return round(((cpuSecondsOfWorkers(workers) - before) * 1_000) / deliveries, 3);
}

function cpuSecondsOfWorkers({ generator, reader, receiver }: Workers): number {
  const workers = [generator, reader, receiver];
  return workers.reduce((sum, { pid }) => sum + costOf(pid, false).cpuSeconds, 0);
}

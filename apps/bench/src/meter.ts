import { type BenchStack, whenQuiet } from './bench-stack.js';
import { type CostPerDelivery, costPerDelivery, type ProcessCost } from './process-cost.js';
import { round } from './quantiles.js';
import type { WrittenBytes } from './written-bytes.js';

/** What a run cost the product, to the end: until its processes have nothing left to do. */
export interface RunCost extends CostPerDelivery {
  bytesPerDelivery: WrittenBytes;
}

/** Of a run that has no product. */
export const noCost: RunCost = {
  processes: {},
  peakRssMb: 0,
  cpuMsPerDelivery: 0,
  bytesPerDelivery: { postgresWal: 0, kafkaLog: 0 },
};

/** From the moment the product is quiet until it is quiet again. */
export class Meter {
  private constructor(
    private readonly stack: BenchStack,
    private readonly costs: Record<string, ProcessCost>,
    private readonly written: WrittenBytes,
  ) {}

  static async start(stack: BenchStack): Promise<Meter> {
    await whenQuiet(stack);
    const written = await stack.written();
    return new Meter(stack, stack.costs(), written);
  }

  async read(deliveries: number): Promise<RunCost> {
    await whenQuiet(this.stack);
    const { postgresWal, kafkaLog } = await this.stack.written();
    const each = (bytes: number): number => round(bytes / deliveries, 0);
    return {
      ...costPerDelivery(this.costs, this.stack.costs(), deliveries),
      bytesPerDelivery: {
        postgresWal: each(postgresWal - this.written.postgresWal),
        kafkaLog: each(kafkaLog - this.written.kafkaLog),
      },
    };
  }
}

import type { Measurement } from '../measurement.js';

/** A run of the scenario throughput on the PostgreSQL log, in round numbers. */
export function aMeasurement(fields: Partial<Measurement>): Measurement {
  return {
    scenario: 'throughput',
    log: 'postgres',
    run: '64 in flight',
    messages: 20_000,
    answers: { '202': 20_000 },
    delivered: 20_000,
    acceptsPerSecond: 2_000,
    deliveriesPerSecond: 2_000,
    acceptMs: { count: 20_000, p50: 20, p95: 80, p99: 100, p999: 120, max: 130 },
    endToEndMs: { count: 20_000, p50: 40, p95: 90, p99: 120, p999: 140, max: 150 },
    lost: 0,
    duplicates: 0,
    processes: {
      'management-api': { cpuSecondsPer1000: 0.2, peakRssMb: 150 },
      dispatcher: { cpuSecondsPer1000: 0.2, peakRssMb: 150 },
      'audit-log': { cpuSecondsPer1000: 0.1, peakRssMb: 150 },
      'retry-scheduler': { cpuSecondsPer1000: 0.05, peakRssMb: 150 },
      postgres: { cpuSecondsPer1000: 0.3, peakRssMb: 400 },
    },
    peakRssMb: 1_000,
    cpuMsPerDelivery: 0.85,
    bytesPerDelivery: { postgresWal: 6_000, kafkaLog: 0 },
    benchmarkCpuMs: 0.1,
    figures: {},
    ...fields,
  };
}

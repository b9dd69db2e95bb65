import { type BenchDocument, type Measurement, nameOf } from './measurement.js';
import { round } from '../traffic/quantiles.js';
import { textTable } from './text-table.js';

interface Compared {
  what: string;
  old: number;
  now: number;
  /** New to old; NaN where there is nothing to divide by. */
  ratio: number;
}

/** Every figure of the runs that both documents have, and what of the new one has no counterpart. */
export function comparisonOf(old: BenchDocument, now: BenchDocument): string {
  const before = new Map(old.results.map((measured) => [nameOf(measured), measured]));
  const blocks = now.results.map((measured) => {
    const name = nameOf(measured);
    const counterpart = before.get(name);
    if (counterpart === undefined) return `${name}: not in the old results`;
    const rows = ratiosOf(counterpart, measured).map(({ what, old, now, ratio }) => [
      `  ${what}`,
      ...[old, now, ratio].map((value) => (Number.isNaN(value) ? '-' : String(value))),
    ]);
    return textTable([name, 'old', 'new', 'ratio'], rows);
  });
  return [...warningsOf(old, now), ...blocks].join('\n\n');
}

/** What makes the ratios say something else than how the product changed. */
function warningsOf(old: BenchDocument, now: BenchDocument): string[] {
  const warnings: string[] = [];
  if (old.scale !== now.scale)
    warnings.push(`the old results were taken at scale ${old.scale}, these at ${now.scale}`);
  const machine = ({ machine: { cores, cpu, memoryGb, node } }: BenchDocument): string =>
    `${cores} x ${cpu}, ${memoryGb} GB, Node ${node}`;
  if (machine(old) !== machine(now))
    warnings.push(`the old results were taken on ${machine(old)}, these on ${machine(now)}`);
  return warnings;
}

/** Without what is nothing in both. */
export function ratiosOf(old: Measurement, now: Measurement): Compared[] {
  const newFigures = figuresOf(now);
  return Object.entries(figuresOf(old)).flatMap(([what, before]) => {
    const after = newFigures[what];
    if (after === undefined || (before === 0 && after === 0)) return [];
    return [{ what, old: before, now: after, ratio: before === 0 ? NaN : round(after / before) }];
  });
}

function figuresOf(measured: Measurement): Record<string, number> {
  const { acceptMs, endToEndMs, processes, bytesPerDelivery, figures } = measured;
  const ofProcesses = Object.entries(processes).flatMap(([name, { cpuSecondsPer1000, peakRssMb }]) => [
    [`${name}: CPU s per 1,000`, cpuSecondsPer1000] as const,
    [`${name}: peak MB`, peakRssMb] as const,
  ]);
  const all: Record<string, number | null> = {
    'deliveries/s': measured.deliveriesPerSecond,
    'accept p50 ms': acceptMs.p50,
    'accept p99 ms': acceptMs.p99,
    'end to end p50 ms': endToEndMs.p50,
    'end to end p95 ms': endToEndMs.p95,
    'end to end p99 ms': endToEndMs.p99,
    'end to end p99.9 ms': endToEndMs.p999,
    'CPU ms per delivery': measured.cpuMsPerDelivery,
    'peak MB': measured.peakRssMb,
    'WAL bytes per delivery': bytesPerDelivery.postgresWal,
    'Kafka bytes per delivery': bytesPerDelivery.kafkaLog,
    lost: measured.lost,
    duplicates: measured.duplicates,
    ...figures,
    ...Object.fromEntries(ofProcesses),
  };
  // JSON writes what is not a number as null.
  return Object.fromEntries(Object.entries(all).map(([what, value]) => [what, value ?? NaN]));
}

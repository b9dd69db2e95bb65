import type { SelfTime } from './cpu-profile.js';
import type { RunResult } from './run-scenario.js';

/** One run as lines for people. */
export function tableOf(result: RunResult): string {
  const { acceptMs, endToEndMs, answers } = result;
  const rows: [string, string][] = [
    [
      'messages',
      `${result.messages} (${Object.entries(answers)
        .map(([status, n]) => `${status}: ${n}`)
        .join(', ')})`,
    ],
    ['accepts/s', String(result.acceptsPerSecond)],
    ['deliveries/s', String(result.deliveriesPerSecond)],
    ['accept p50 / p99 ms', `${acceptMs.p50} / ${acceptMs.p99}`],
    [
      'end to end p50 / p95 / p99 / p99.9 ms',
      [endToEndMs.p50, endToEndMs.p95, endToEndMs.p99, endToEndMs.p999].join(' / '),
    ],
    ['lost / duplicates', `${result.lost} / ${result.duplicates}`],
  ];
  if (result.scenario !== 'calibration') rows.push(['CPU ms per delivery', String(result.cpuMsPerDelivery)]);
  for (const [name, { cpuSecondsPer1000, peakRssMb }] of Object.entries(result.processes)) {
    rows.push([`  ${name}`, `${cpuSecondsPer1000} CPU s per 1,000, peak ${peakRssMb} MB`]);
  }
  const width = Math.max(...rows.map(([label]) => label.length));
  const title = `${result.scenario}, log: ${result.log}`;
  return [title, ...rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join('\n');
}

export function profileTable(service: string, top: SelfTime[]): string {
  const rows = top.map(
    ({ where, ms, share }) => `  ${`${share}%`.padStart(6)}  ${`${ms} ms`.padStart(9)}  ${where}`,
  );
  return [`${service}: most self time`, ...rows].join('\n');
}

import type { SelfTime } from './cpu-profile.js';
import type { CostPerDelivery } from './process-cost.js';
import type { RetryDelays } from './retry-delays.js';
import type { FaultResult, Recovery } from './run-faults.js';
import type { RunResult } from './run-scenario.js';

type Row = [label: string, value: string];

/** One run as lines for people. */
export function tableOf(result: RunResult): string {
  const { acceptMs, endToEndMs, answers } = result;
  const rows: Row[] = [
    ['messages', `${result.messages} (${listed(answers)})`],
    ['accepts/s', String(result.acceptsPerSecond)],
    ['deliveries/s', String(result.deliveriesPerSecond)],
    ['accept p50 / p99 ms', `${acceptMs.p50} / ${acceptMs.p99}`],
    [
      'end to end p50 / p95 / p99 / p99.9 ms',
      [endToEndMs.p50, endToEndMs.p95, endToEndMs.p99, endToEndMs.p999].join(' / '),
    ],
    ['lost / duplicates', `${result.lost} / ${result.duplicates}`],
  ];
  if (result.scenario !== 'calibration') rows.push(...costRows(result));
  return aligned(`${result.scenario}, log: ${result.log}`, rows);
}

/** One run beside troubled receivers. */
export function faultTableOf(result: FaultResult): string {
  const { acceptMs, healthy, troubled, dispatcher, recovery, answers } = result;
  const { endToEndMs } = healthy;
  const { rssMb, sockets, attempts, deferrals } = dispatcher;
  const rows: Row[] = [
    ['messages', `${result.messages} (${listed(answers)})`],
    ['accept p50 / p99 ms', `${acceptMs.p50} / ${acceptMs.p99}`],
    [
      'healthy: end to end p50 / p95 / p99 / max ms',
      [endToEndMs.p50, endToEndMs.p95, endToEndMs.p99, endToEndMs.max].join(' / '),
    ],
    ['healthy: p99 to that of the first run', String(healthy.p99ToFirstRun)],
    [
      'healthy: delivered, lost / duplicates',
      `${healthy.delivered}, ${healthy.lost} / ${healthy.duplicates}`,
    ],
  ];
  if (troubled) {
    const { delivered, lost, duplicates } = troubled;
    rows.push(['troubled: delivered, lost / duplicates', `${delivered}, ${lost} / ${duplicates}`]);
  }
  if (recovery) rows.push(...recoveryRows(recovery));
  rows.push(
    ['attempts', listed(attempts)],
    ['deferrals', listed(deferrals)],
    [
      'dispatcher: sockets before / most / at the end',
      `${sockets.before} / ${sockets.most} / ${sockets.atEnd}`,
    ],
    ['dispatcher: MB resident before / at the end', `${rssMb.before} / ${rssMb.atEnd}`],
    ...costRows(result),
  );
  return aligned(`${result.scenario}, log: ${result.log}: ${result.run}`, rows);
}

function recoveryRows({ downSeconds, caughtUpSeconds, healthyP99Ms, retries }: Recovery): Row[] {
  return [
    ['down for, and all of that delivered after its return', `${downSeconds} s, ${caughtUpSeconds} s`],
    ['healthy: p99 ms while it was away / back', `${healthyP99Ms.away} / ${healthyP99Ms.back}`],
    ...retries.map(retryRow),
  ];
}

function retryRow({ retry, scheduledSeconds, count, plannedSeconds, lateness }: RetryDelays): Row {
  const planned = `planned after ${plannedSeconds.least} to ${plannedSeconds.most} s`;
  return [
    `  retry ${retry}, scheduled after ${scheduledSeconds} s`,
    `${count} seen, ${planned}, late by: ${listed(lateness)}`,
  ];
}

function costRows({ cpuMsPerDelivery, processes }: CostPerDelivery): Row[] {
  return [
    ['CPU ms per delivery', String(cpuMsPerDelivery)],
    ...Object.entries(processes).map(([name, { cpuSecondsPer1000, peakRssMb }]): Row => {
      return [`  ${name}`, `${cpuSecondsPer1000} CPU s per 1,000, peak ${peakRssMb} MB`];
    }),
  ];
}

function listed(counts: Record<string, number>): string {
  const entries = Object.entries(counts).filter(([, count]) => count > 0);
  return entries.map(([name, count]) => `${name}: ${count}`).join(', ') || 'none';
}

function aligned(title: string, rows: Row[]): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return [title, ...rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join('\n');
}

export function profileTable(service: string, top: SelfTime[]): string {
  const rows = top.map(
    ({ where, ms, share }) => `  ${`${share}%`.padStart(6)}  ${`${ms} ms`.padStart(9)}  ${where}`,
  );
  return [`${service}: most self time`, ...rows].join('\n');
}

import type { SelfTime } from '../product/cpu-profile.js';
import { type Measurement, nameOf } from './measurement.js';
import type { RetryDelays } from '../scenarios/retry-delays.js';
import type { FaultDetails, Recovery } from '../scenarios/run-faults.js';
import { textTable } from './text-table.js';

type Row = [label: string, value: string];

/** One run as lines for people. */
export function tableOf(measured: Measurement): string {
  const { acceptMs, endToEndMs, answers, fault } = measured;
  const { p50, p95, p99, p999 } = endToEndMs;
  const whose = fault === undefined ? '' : 'healthy: ';
  const rows: Row[] = [
    ['messages', `${measured.messages} (${listed(answers)})`],
    ['accepts/s', String(measured.acceptsPerSecond)],
    ['deliveries/s', String(measured.deliveriesPerSecond)],
    ['accept p50 / p99 ms', `${acceptMs.p50} / ${acceptMs.p99}`],
    [`${whose}end to end p50 / p95 / p99 / p99.9 ms`, [p50, p95, p99, p999].join(' / ')],
    ['lost / duplicates', `${measured.lost} / ${measured.duplicates}`],
    ...Object.entries(measured.figures).map(([name, value]): Row => [wordsOf(name), String(value)]),
    ...(fault === undefined ? [] : faultRows(fault)),
    ...(measured.scenario === 'calibration' ? [] : costRows(measured)),
    ['generator and receiver: CPU ms per delivery', String(measured.benchmarkCpuMs)],
  ];
  return aligned(nameOf(measured), rows);
}

function faultRows({ healthy, troubled, dispatcher, recovery }: FaultDetails): Row[] {
  const { rssMb, sockets, attempts, deferrals } = dispatcher;
  const arrived = ({ delivered, lost, duplicates }: FaultDetails['healthy']): string =>
    `${delivered}, ${lost} / ${duplicates}`;
  return [
    ['healthy: delivered, lost / duplicates', arrived(healthy)],
    ...(troubled ? [['troubled: delivered, lost / duplicates', arrived(troubled)] satisfies Row] : []),
    ...(recovery ? recoveryRows(recovery) : []),
    ['attempts', listed(attempts)],
    ['deferrals', listed(deferrals)],
    [
      'dispatcher: sockets before / most / at the end',
      `${sockets.before} / ${sockets.most} / ${sockets.atEnd}`,
    ],
    ['dispatcher: MB resident before / at the end', `${rssMb.before} / ${rssMb.atEnd}`],
  ];
}

function recoveryRows({ downSeconds, caughtUpSeconds, healthyP99Ms, retries }: Recovery): Row[] {
  return [
    ['away for, and all of that delivered after its return', `${downSeconds} s, ${caughtUpSeconds} s`],
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

function costRows({ cpuMsPerDelivery, processes, peakRssMb, bytesPerDelivery }: Measurement): Row[] {
  const { postgresWal, kafkaLog } = bytesPerDelivery;
  return [
    ['bytes written per delivery', `${postgresWal} WAL${kafkaLog === 0 ? '' : `, ${kafkaLog} Kafka`}`],
    ['CPU ms per delivery, peak MB', `${cpuMsPerDelivery}, ${peakRssMb}`],
    ...Object.entries(processes).map(([name, { cpuSecondsPer1000, peakRssMb }]): Row => {
      return [`  ${name}`, `${cpuSecondsPer1000} CPU s per 1,000, peak ${peakRssMb} MB`];
    }),
  ];
}

const SUMMARY = [
  'run',
  'deliveries/s',
  'p50 ms',
  'p95',
  'p99',
  'p99.9',
  'CPU ms each',
  'peak MB',
  'bytes each',
  'lost',
  'duplicates',
];

/** All runs, one a line, the calibration first: what nothing in between could do on the same machine. */
export function summaryOf(results: Measurement[]): string {
  const rows = results.map((measured) => {
    const { endToEndMs, bytesPerDelivery, cpuMsPerDelivery, peakRssMb } = measured;
    const costs = [cpuMsPerDelivery, peakRssMb, bytesPerDelivery.postgresWal + bytesPerDelivery.kafkaLog];
    const { p50, p95, p99, p999 } = endToEndMs;
    const hasCosts = measured.scenario !== 'calibration';
    return [
      nameOf(measured),
      ...[measured.deliveriesPerSecond, p50, p95, p99, p999].map(String),
      ...costs.map((cost) => (hasCosts ? String(cost) : '-')),
      ...[measured.lost, measured.duplicates].map(String),
    ];
  });
  return textTable(SUMMARY, rows);
}

function wordsOf(figure: string): string {
  return figure.replaceAll('_', ' ');
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

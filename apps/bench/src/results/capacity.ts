import { topics } from '@posthaste/contracts';
import type { BenchDocument, Measurement } from './measurement.js';
import { markdownTable } from './text-table.js';

/**
 * How many machines a rate takes, from what a delivery was measured to cost: the page says what it assumes, and where
 * its arithmetic ends. A process of ours uses one core; it is planned to be busy for a share of its time, the rest
 * is for what comes in waves. What reads the log can have no more processes than the log has partitions, and there is
 * one PostgreSQL: from these follows the rate at which each of them is full. Beyond the first of those rates tenants
 * are spread over installations that know nothing of each other.
 */
const RATES = [1_000, 10_000, 100_000, 1_000_000];
const BUSY_SHARE = 0.6;
const MACHINE_CORES = 16;
const LARGEST_SERVER_CORES = 64;
const PARTITIONS = topics.deliveries.partitions.production;
const PAYLOAD_BITS = 1_024 * 8;
const DAY_SECONDS = 86_400;

/** How a part of the product grows. */
type Growth = 'processes' | 'processes-by-partition' | 'one-server' | 'brokers';

const GROWTH: Record<string, Growth> = {
  'management-api': 'processes',
  dispatcher: 'processes-by-partition',
  'audit-log': 'processes-by-partition',
  'retry-scheduler': 'processes-by-partition',
  postgres: 'one-server',
  kafka: 'brokers',
};

export interface Part {
  name: string;
  growth: Growth;
  cpuMs: number;
  peakRssMb: number;
  /** Deliveries a second at which it is full; Infinity when it grows without end. */
  limit: number;
}

export function partsOf({ processes }: Pick<Measurement, 'processes'>): Part[] {
  return Object.entries(processes).flatMap(([name, { cpuSecondsPer1000, peakRssMb }]) => {
    const growth = GROWTH[name];
    if (growth === undefined || !(cpuSecondsPer1000 > 0)) return [];
    // Seconds per thousand are milliseconds each.
    return [{ name, growth, cpuMs: cpuSecondsPer1000, peakRssMb, limit: limitOf(growth, cpuSecondsPer1000) }];
  });
}

function isOurs(growth: Growth): boolean {
  return growth === 'processes' || growth === 'processes-by-partition';
}

function limitOf(growth: Growth, cpuMs: number): number {
  const perCore = (BUSY_SHARE * 1_000) / cpuMs;
  switch (growth) {
    case 'processes':
    case 'brokers':
      return Infinity;
    case 'processes-by-partition':
      return PARTITIONS * perCore;
    case 'one-server':
      return LARGEST_SERVER_CORES * perCore;
  }
}

export interface Need {
  perSecond: number;
  /** So many times everything, so that no part is full. */
  installations: number;
  /** Processes of ours; planned cores of PostgreSQL and Kafka. */
  units: Record<string, number>;
  machines: number;
  /** Of our processes; PostgreSQL and Kafka take for caches what they are given. */
  memoryGb: number;
}

export function needOf(parts: Part[], perSecond: number): Need {
  const installations = Math.ceil(perSecond / Math.min(...parts.map(({ limit }) => limit)));
  const each = perSecond / installations;
  const units = parts.map((part) => [part.name, unitsOf(part, each) * installations] as const);
  const cores = units.reduce((sum, [, count]) => sum + count, 0);
  const memoryMb = parts.reduce(
    (sum, { name, growth, peakRssMb }) =>
      sum + (isOurs(growth) ? peakRssMb * (Object.fromEntries(units)[name] ?? 0) : 0),
    0,
  );
  return {
    perSecond,
    installations,
    units: Object.fromEntries(units),
    machines: Math.max(installations, Math.ceil(cores / MACHINE_CORES)),
    memoryGb: Math.ceil(memoryMb / 1_024),
  };
}

/** Processes, or planned cores. Partitions are whole: of 48, five processes have ten at the most. */
function unitsOf({ growth, cpuMs }: Part, perSecond: number): number {
  const cores = (perSecond * cpuMs) / 1_000 / BUSY_SHARE;
  // Not one more for a last digit's sake.
  const enough = Math.max(1, Math.ceil(cores - 1e-9));
  if (growth !== 'processes-by-partition') return enough;
  for (let count = enough; count < PARTITIONS; count++) {
    const largestShare = Math.ceil(PARTITIONS / count) / PARTITIONS;
    if (cores * largestShare <= 1 + 1e-9) return count;
  }
  return PARTITIONS;
}

export function capacityPage(document: BenchDocument): string {
  const measured = document.results.filter(({ scenario }) => scenario === 'throughput');
  const byLog = Map.groupBy(measured, ({ log }) => log);
  const sections = [...byLog.values()].map(medianOf).map(sectionOf);
  if (sections.length === 0)
    throw new Error('the page is made from the scenario throughput, which is not there');
  const { takenAt, machine, scale } = document;
  return `${[
    '# Capacity',
    introduction(takenAt.slice(0, 10), machine.cores, scale),
    ...sections,
    CAVEATS,
  ].join('\n\n')}\n`;
}

/** Of repeated runs the one of the median cost. */
function medianOf(runs: Measurement[]): Measurement {
  const byCost = [...runs].sort((a, b) => a.cpuMsPerDelivery - b.cpuMsPerDelivery);
  return byCost[Math.floor((byCost.length - 1) / 2)] as Measurement;
}

function introduction(day: string, cores: number, scale: number): string {
  const small = scale === 1 ? '' : ` **They were taken at scale ${scale}, for trying out, and say little.**`;
  return [
    `Computed by \`npm run bench -- --capacity\` from the figures of ${day} (a machine of ${cores} cores that carried`,
    `everything, [performance](performance.md)): what one delivery costs, times how many there are.${small}`,
    '',
    'What is assumed:',
    '',
    '- messages of 1 KB, one endpoint each, answered 2xx at the first attempt;',
    `- every core is planned to be busy ${BUSY_SHARE * 100} % of the time; a process of ours uses one, a machine has ${MACHINE_CORES};`,
    `- ${PARTITIONS} partitions, so ${PARTITIONS} processes of dispatcher, audit-log and retry-scheduler at most;`,
    `- one PostgreSQL server of ${LARGEST_SERVER_CORES} cores at most; beyond what one installation carries there are several, each with its own tenants.`,
  ].join('\n');
}

function sectionOf(measured: Measurement): string {
  const parts = partsOf(measured);
  const title = measured.log === 'kafka' ? 'Kafka log' : 'PostgreSQL log';
  const byLimit = [...parts].sort((a, b) => a.limit - b.limit);
  const needs = RATES.map((perSecond) => needOf(parts, perSecond));
  const head = ['deliveries/s', ...parts.map(unitName), 'machines', 'our memory, GB', 'installations'];
  const rows = needs.map(({ perSecond, units, machines, memoryGb, installations }) => [
    number(perSecond),
    ...parts.map(({ name }) => String(units[name])),
    String(machines),
    String(memoryGb),
    String(installations),
  ]);
  return [
    `## ${title}`,
    markdownTable(head, rows),
    `What is full first, and at how many deliveries a second:`,
    markdownTable(
      ['part', 'CPU ms each', 'full at', 'what would lift it'],
      byLimit.map(({ name, growth, cpuMs, limit }) => [
        name,
        String(cpuMs),
        limit === Infinity ? '-' : number(limit),
        liftOf(growth),
      ]),
    ),
    conclusionOf(byLimit, parts, measured),
  ].join('\n\n');
}

function unitName({ name, growth }: Part): string {
  return isOurs(growth) ? `${name}, processes` : `${name}, cores`;
}

function liftOf(growth: Growth): string {
  switch (growth) {
    case 'processes':
      return 'more processes, as many as wished';
    case 'processes-by-partition':
      return 'more partitions, from the first start on';
    case 'one-server':
      return 'a larger server; then another installation';
    case 'brokers':
      return 'more brokers';
  }
}

function conclusionOf(byLimit: Part[], parts: Part[], { bytesPerDelivery }: Measurement): string {
  const [first] = byLimit;
  const dispatcher = parts.find(({ name }) => name === 'dispatcher');
  const perAccount = dispatcher === undefined ? NaN : (BUSY_SHARE * 1_000) / dispatcher.cpuMs;
  const bytes = (bytesPerDelivery?.postgresWal ?? 0) + (bytesPerDelivery?.kafkaLog ?? 0);
  const gigabits = (rate: number): string => ((rate * PAYLOAD_BITS) / 1e9).toFixed(2);
  const written =
    bytes > 0
      ? `Written are ${number(bytes)} bytes for each delivery: ${number((bytes * 10_000 * DAY_SECONDS) / 1e9)} GB a day at 10,000/s, before anything is deleted.`
      : 'How many bytes are written was not measured in these figures.';
  return [
    first === undefined || first.limit === Infinity
      ? '- Nothing here is full at any rate.'
      : `- **${first.name}** is full first, at ${number(first.limit)} deliveries/s.`,
    `- One account passes one dispatcher: ${number(perAccount)} deliveries/s for an account, however many machines there are.`,
    `- Payloads alone are ${gigabits(100_000)} Gbit/s in and as much out at 100,000/s, ${gigabits(1_000_000)} at 1,000,000/s.`,
    `- ${written}`,
  ].join('\n');
}

const CAVEATS = `## What this does not say

- Nothing near these rates was run: beyond what one machine of 2 cores carried, all of it is multiplication. Only CPU is counted: disks, locks and tables that have grown large may be the end sooner, and accounts may not be spread evenly over the partitions.
- The PostgreSQL log promises no more than some ten thousand records a second, as its partitions share one write-ahead log, and a delivery is two records: it will be the end before its CPU is. For more there is Kafka.
- That the cost of a delivery stays the same with many processes was not measured: it was taken with one of each, and few partitions.
- Replicas of the log are not in it: the broker that was measured had one copy of each partition. PostgreSQL's standbys likewise.
- Failing endpoints cost more: every attempt is a delivery here, and each one that is put off costs the scheduler and PostgreSQL.
- A disk that is slower at a commit adds time, and little CPU: commits are shared by what is in flight.`;

function number(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-US');
}

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { round } from '../traffic/quantiles.js';

/** What a process and its children have used so far, as the kernel counts it. */
export interface ProcessCost {
  pid: number;
  cpuSeconds: number;
  /** The most memory it ever had resident; of several processes, their sum, with what they share counted once. */
  peakRssMb: number;
}

/** What the processes of the product used between two looks, by what they delivered meanwhile. */
export interface CostPerDelivery {
  processes: Record<string, { cpuSecondsPer1000: number; peakRssMb: number }>;
  /** Of all of them together. */
  peakRssMb: number;
  /** All processes of the product, datastores included. */
  cpuMsPerDelivery: number;
}

/** Linux counts in ticks of 1/100 s for user space, whatever the kernel uses inside. */
const TICKS_PER_SECOND = 100;

/** Of a process alone, or with its living and its reaped children (PostgreSQL's workers). */
export function costOf(pid: number, withChildren: boolean): ProcessCost {
  const pids = withChildren ? [pid, ...childrenOf(pid)] : [pid];
  const costs = pids.map((one) => ownCost(one, withChildren));
  const ownMb = costs.reduce((sum, cost) => sum + cost.peakRssMb - cost.sharedMb, 0);
  return {
    pid,
    cpuSeconds: costs.reduce((sum, cost) => sum + cost.cpuSeconds, 0),
    peakRssMb: ownMb + Math.max(...costs.map(({ sharedMb }) => sharedMb)),
  };
}

/** utime and stime, and those of ended children where asked, from the fields after the bracketed name. */
export function cpuSecondsOf(stat: string, withChildren: boolean): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
  const own = (utime ?? 0) + (stime ?? 0);
  return (withChildren ? own + (cutime ?? 0) + (cstime ?? 0) : own) / TICKS_PER_SECOND;
}

function ownCost(
  pid: number,
  withChildren: boolean,
): { cpuSeconds: number; peakRssMb: number; sharedMb: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return {
      cpuSeconds: cpuSecondsOf(readFileSync(`/proc/${pid}/stat`, 'utf8'), withChildren),
      peakRssMb: megabytes(status, 'VmHWM'),
      // PostgreSQL's buffers, of which each worker has those resident that it touched, and its program.
      sharedMb: megabytes(status, 'RssShmem') + megabytes(status, 'RssFile'),
    };
  } catch {
    // It ended between the listing and the look.
    return { cpuSeconds: 0, peakRssMb: 0, sharedMb: 0 };
  }
}

function megabytes(status: string, name: string): number {
  const kb = new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1];
  return Number(kb ?? 0) / 1024;
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

export function costPerDelivery(
  before: Record<string, ProcessCost>,
  after: Record<string, ProcessCost>,
  deliveries: number,
): CostPerDelivery {
  const used = Object.entries(after).map(([name, { pid, cpuSeconds, peakRssMb }]) => {
    const earlier = before[name];
    // A process that was started meanwhile counts from nothing.
    const seconds = cpuSeconds - (earlier?.pid === pid ? earlier.cpuSeconds : 0);
    return { name, perThousand: (seconds * 1000) / deliveries, peakRssMb };
  });
  return {
    processes: Object.fromEntries(
      used.map(({ name, perThousand, peakRssMb }) => [
        name,
        { cpuSecondsPer1000: round(perThousand, 3), peakRssMb: round(peakRssMb, 0) },
      ]),
    ),
    peakRssMb: round(
      used.reduce((sum, { peakRssMb }) => sum + peakRssMb, 0),
      0,
    ),
    // Seconds per thousand are milliseconds each.
    cpuMsPerDelivery: round(
      used.reduce((sum, { perThousand }) => sum + perThousand, 0),
      3,
    ),
  };
}

/** What a process holds at this moment. */
interface Holdings {
  rssMb: number;
  sockets: number;
}

export function holdingsOf(pid: number): Holdings {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const sockets = readdirSync(`/proc/${pid}/fd`).filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`));
    return { rssMb: round(megabytes(status, 'VmRSS'), 0), sockets: sockets.length };
  } catch {
    return { rssMb: 0, sockets: 0 };
  }
}

function isSocket(fd: string): boolean {
  try {
    return readlinkSync(fd).startsWith('socket:');
  } catch {
    // Closed meanwhile.
    return false;
  }
}

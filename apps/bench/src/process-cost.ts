import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { round } from './quantiles.js';

/** What a process and its children have used so far, as the kernel counts it. */
export interface ProcessCost {
  cpuSeconds: number;
  /** The most memory it ever had resident; of several processes, their sum (shared pages counted in each). */
  peakRssMb: number;
}

/** What the processes of the product used between two looks, by what they delivered meanwhile. */
export interface CostPerDelivery {
  processes: Record<string, { cpuSecondsPer1000: number; peakRssMb: number }>;
  /** All processes of the product, datastores included. */
  cpuMsPerDelivery: number;
}

/** Linux counts in ticks of 1/100 s for user space, whatever the kernel uses inside. */
const TICKS_PER_SECOND = 100;

/** Of a process alone, or with its living and its reaped children (PostgreSQL's workers). */
export function costOf(pid: number, withChildren: boolean): ProcessCost {
  const pids = withChildren ? [pid, ...childrenOf(pid)] : [pid];
  const costs = pids.map((one) => ownCost(one, withChildren));
  return {
    cpuSeconds: costs.reduce((sum, cost) => sum + cost.cpuSeconds, 0),
    peakRssMb: costs.reduce((sum, cost) => sum + cost.peakRssMb, 0),
  };
}

/** utime and stime, and those of ended children where asked, from the fields after the bracketed name. */
export function cpuSecondsOf(stat: string, withChildren: boolean): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
  const own = (utime ?? 0) + (stime ?? 0);
  return (withChildren ? own + (cutime ?? 0) + (cstime ?? 0) : own) / TICKS_PER_SECOND;
}

function ownCost(pid: number, withChildren: boolean): ProcessCost {
  try {
    const peakKb = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return {
      cpuSeconds: cpuSecondsOf(readFileSync(`/proc/${pid}/stat`, 'utf8'), withChildren),
      peakRssMb: Number(peakKb ?? 0) / 1024,
    };
  } catch {
    // It ended between the listing and the look.
    return { cpuSeconds: 0, peakRssMb: 0 };
  }
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
  const used = Object.entries(after).map(([name, { cpuSeconds, peakRssMb }]) => {
    const seconds = cpuSeconds - (before[name]?.cpuSeconds ?? 0);
    return { name, perThousand: (seconds * 1000) / deliveries, peakRssMb };
  });
  return {
    processes: Object.fromEntries(
      used.map(({ name, perThousand, peakRssMb }) => [
        name,
        { cpuSecondsPer1000: round(perThousand, 3), peakRssMb: round(peakRssMb, 0) },
      ]),
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
    const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const sockets = readdirSync(`/proc/${pid}/fd`).filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`));
    return { rssMb: round(Number(kb ?? 0) / 1024, 0), sockets: sockets.length };
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

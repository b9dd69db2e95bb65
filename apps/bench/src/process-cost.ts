import { readFileSync } from 'node:fs';

/** What a process and its children have used so far, as the kernel counts it. */
export interface ProcessCost {
  cpuSeconds: number;
  /** The most memory it ever had resident; of several processes, their sum (shared pages counted in each). */
  peakRssMb: number;
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

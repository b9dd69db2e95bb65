import { cpus, type CpuInfo } from 'node:os';

/** Less than this part of all processors' time was idle: nothing is left. */
const IDLE_SHARE = 0.1;
/** The system counts in hundredths of a second. */
const LOOK_MS = 100;

/** Whether this machine's processors, all together, had next to nothing left between the last two looks, 100 ms apart at least. */
export class BusyMachine {
  private last: ProcessorTimes;
  private busy = false;

  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly processors: () => Pick<CpuInfo, 'times'>[] = cpus,
  ) {
    this.last = this.look();
  }

  isBusy(): boolean {
    if (this.now() - this.last.atMs < LOOK_MS) return this.busy;
    const next = this.look();
    this.busy = next.idleMs - this.last.idleMs < IDLE_SHARE * (next.allMs - this.last.allMs);
    this.last = next;
    return this.busy;
  }

  private look(): ProcessorTimes {
    const all = this.processors().flatMap(({ times }) => Object.values(times));
    const idle = this.processors().map(({ times }) => times.idle);
    return { atMs: this.now(), idleMs: sum(idle), allMs: sum(all) };
  }
}

/** Milliseconds since the machine began, of all processors. */
interface ProcessorTimes {
  atMs: number;
  idleMs: number;
  allMs: number;
}

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

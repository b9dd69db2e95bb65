import { type Bench, type BenchStack, residentMb } from '../product/bench-stack.js';
import { measureLoad, openWay, warmUp } from './load.js';
import { round } from '../traffic/quantiles.js';
import { fullSpeed, type Show } from './run-speed.js';
import type { Sizes } from './scenarios.js';

const SOAK_SECONDS = 30 * 60;
const LOOK_EVERY_MS = 2_000;
/** Caches fill and code is compiled in this part of the time, which is not judged. */
const WARM_UP_SHARE = 1 / 3;

/** Memory at half of the throughput, for long: what a service still grows by each minute once it is warm. */
export async function runSoak(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const way = await openWay('soak', bench);
  await warmUp(way, sizes.warmUp(), bench);
  const full = await measureLoad('soak', 'full speed', fullSpeed(sizes), way, bench);
  show(full);
  const perSecond = Math.max(1, Math.round(full.deliveriesPerSecond / 2));
  const load = { count: sizes.count(SOAK_SECONDS * perSecond), pace: { perSecond } };
  const watch = new MemoryWatch(bench.stack);
  const soaked = await measureLoad('soak', 'half of it', load, way, bench);
  show({ ...soaked, figures: { messages_per_second: perSecond, ...watch.end() } });
}

class MemoryWatch {
  private readonly startedAtMs = performance.now();
  private readonly looks = new Map<string, { atMinutes: number; mb: number }[]>();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly stack: BenchStack) {
    this.look();
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  end(): Record<string, number> {
    clearInterval(this.timer);
    this.look();
    const figures = [...this.looks].map(([name, looks]) => {
      const judged = looks.slice(Math.floor(looks.length * WARM_UP_SHARE));
      return [`${name}_mb_per_minute`, round(slopeOf(judged), 3)] as const;
    });
    return Object.fromEntries(figures);
  }

  private look(): void {
    const atMinutes = (performance.now() - this.startedAtMs) / 60_000;
    for (const [name, mb] of residentMb(this.stack)) {
      const looks = this.looks.get(name) ?? [];
      this.looks.set(name, looks);
      looks.push({ atMinutes, mb });
    }
  }
}

/** Of the straight line that lies nearest (least squares). */
export function slopeOf(looks: { atMinutes: number; mb: number }[]): number {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanAt = mean(looks.map(({ atMinutes }) => atMinutes));
  const meanMb = mean(looks.map(({ mb }) => mb));
  const along = looks.reduce((sum, { atMinutes, mb }) => sum + (atMinutes - meanAt) * (mb - meanMb), 0);
  const spread = looks.reduce((sum, { atMinutes }) => sum + (atMinutes - meanAt) ** 2, 0);
  return spread === 0 ? 0 : along / spread;
}
